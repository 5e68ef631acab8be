"""What is said of damaged runs that are moved out of the way, and of what the same command does next."""

import json

import pyarrow.parquet as pq
import pytest

from atml_exp.errors import DamagedRunError
from atml_exp.runs import metrics_table
from atml_exp.store.ledger import look_up
from atml_exp.store.quarantine import quarantine_damaged


def attempt(tmp_path, name, status="complete", *, damaged=False):
    directory = tmp_path / "runs" / name
    directory.mkdir(parents=True)
    info = {"run_id": name.partition("-")[0], "status": status, "config": {}}
    (directory / "run.json").write_text(json.dumps(info))
    (directory / "config.yaml").write_text("seed: 0\n")
    if not damaged:
        pq.write_table(metrics_table([]), directory / "metrics.parquet")
    return directory


def said(tmp_path, *names, force=False):
    with pytest.raises(DamagedRunError) as refused:
        quarantine_damaged(look_up(tmp_path, name, force=force) for name in names)
    return str(refused.value).splitlines()


def test_a_run_without_an_earlier_attempt_is_trained_again(tmp_path):
    directory = attempt(tmp_path, "abc", damaged=True)
    assert said(tmp_path, "abc") == [
        "A run is damaged, and moved to quarantine; the same command now trains it again:",
        f"{directory} (now {tmp_path / 'quarantine' / 'abc'})",
        "  metrics.parquet: is missing",
    ]
    assert look_up(tmp_path, "abc").attempt == 1


THEN = {
    "complete": "has ended: the same command now returns it; with force=true it trains a new attempt",
    "running": "was cut off: the same command now goes on with it",
}


@pytest.mark.parametrize("status", THEN)
def test_before_a_later_attempt_the_earlier_one_is_named_and_found_next(tmp_path, status):
    first = attempt(tmp_path, "abc", status)
    third = attempt(tmp_path, "abc-3", damaged=True)
    assert said(tmp_path, "abc") == [
        "A run is damaged, and moved to quarantine:",
        f"{third} (now {tmp_path / 'quarantine' / 'abc-3'})",
        "  metrics.parquet: is missing",
        f"  attempt 1, {first}, {THEN[status]}",
    ]
    entry = look_up(tmp_path, "abc")
    assert (entry.directory, entry.finished) == (first, status == "complete")


def test_an_earlier_attempt_that_is_damaged_too_waits_for_its_turn(tmp_path):
    first, _ = (attempt(tmp_path, name, damaged=True) for name in ("abc", "abc-2"))
    lines = said(tmp_path, "abc")
    assert lines[-1] == f"  attempt 1, {first}, is damaged too, and moved when the run is asked for again"
    assert said(tmp_path, "abc")[1] == f"{first} (now {tmp_path / 'quarantine' / 'abc'})"


def test_of_several_runs_each_says_what_becomes_of_it(tmp_path):
    attempt(tmp_path, "abc")
    for name in ("abc-2", "def"):
        attempt(tmp_path, name, damaged=True)
    lines = said(tmp_path, "abc", "def")
    assert lines[0] == "2 runs are damaged, and moved to quarantine:"
    assert lines[3].startswith("  attempt 1, ")
    assert lines[6] == "  the same command now trains it again"
