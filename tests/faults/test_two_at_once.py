"""Two processes that ask for the same runs at once: each run is trained once, and both end with all results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

fcntl = pytest.importorskip("fcntl", reason="without it nothing is locked")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What became of pairs of processes, all children of one that has imported everything."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("pairs.py")), str(tmp_path_factory.mktemp("pairs"))],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def trainers(pair):
    """Who trained what."""
    return [int(line.rpartition(" ")[2]) for line in pair["trained"]]


def test_the_second_says_so_waits_and_finds_the_run(seen):
    pair = seen["waits"]
    (run,) = pair["runs"]
    assert (pair["codes"], pair["runs"][run], pair["differs"]) == ([0, 0], "complete", [])
    assert trainers(pair) == pair["pids"][:1]
    message = (
        f"Waiting: run {run} is being trained by process {pair['pids'][0]}. Should it be stopped, this one goes "
    )
    assert pair["said"] == ["", message + "on with it; Ctrl-C stops waiting, and with wait=false nobody waits.\n"]


def test_where_the_first_is_killed_the_second_goes_on_to_the_same_bytes(seen):
    pair = seen["goes on"]
    assert (pair["codes"], list(pair["runs"].values()), pair["differs"]) == ([-9, 0], ["complete"], [])
    assert trainers(pair) == pair["pids"]


def test_ctrl_c_stops_waiting_and_nothing_else(seen):
    pair = seen["interrupted"]
    assert (pair["codes"], list(pair["runs"].values()), pair["differs"]) == ([0, 130], ["complete"], [])
    assert trainers(pair) == pair["pids"][:1]
    assert "Traceback" not in pair["said"][1]


def test_who_does_not_want_to_wait_is_refused(seen):
    pair = seen["refuses"]
    assert (pair["codes"], pair["differs"]) == ([0, 2], [])
    assert f"process {pair['pids'][0]} is training this run, and wait = false" in pair["said"][1]


def test_two_equal_sweeps_train_each_run_once_and_wait_for_nobody_who_waits(seen):
    for pair in seen["sweeps"]:
        assert (pair["codes"], list(pair["runs"].values()), pair["differs"]) == ([0, 0], 3 * ["complete"], [])
        assert len(pair["trained"]) == len({line.split()[0] for line in pair["trained"]}) == 3
    assert any(len(set(trainers(pair))) == 2 for pair in seen["sweeps"])  # they did work side by side


def test_begun_at_the_same_instant_there_is_one_run_and_one_new_attempt(seen):
    for once, again in seen["instants"]:
        assert (once["codes"], list(once["runs"].values()), len(once["trained"])) == ([0, 0], ["complete"], 1)
        assert again["codes"] == [0, 0]
        first, *others = sorted(again["runs"])
        assert others[0] == f"{first}-2"
        assert set(again["runs"].values()) == {"complete"}
        assert len(again["trained"]) - 1 == len(others)
