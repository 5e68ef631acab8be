"""Killed, terminated or interrupted anywhere: little is lost, and the end is that of one that wasn't, in bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 50
INTERVAL = 0.02
CODES = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}


def attempts(what, kind, number, folder):
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("attempts.py")), what, kind, str(number), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "fused"])
def test_at_random_moments(kind, tmp_path):
    """Each signal hits a live process 50 times; cut runs go on, and are cut again, until they are complete."""
    seen = attempts("kills", kind, KILLS, tmp_path)
    assert len([name for name in seen["files"] if name.endswith("metrics.parquet")]) == {"run": 1, "fused": 3}[kind]
    assert any("arrays/" in name for name in seen["files"])
    assert any("checkpoints/" in name for name in seen["files"])
    for name, code in CODES.items():
        hits, chains = seen[name]["hits"], seen[name]["chains"]
        assert [hit["code"] for hit in hits] == KILLS * [code], hits
        assert [hit["said"] for hit in hits if "Traceback" in hit["said"]] == []
        assert [hit for hit in hits if lost_too_much(hit, name)] == []
        assert sum(hit["phase"] == 1 for hit in hits) >= 10  # in the middle of training
        assert chains  # each of them complete, and what differs from the run that wasn't cut:
        assert [differing for differing in chains if differing] == []


def lost_too_much(hit, name):
    """Whether the resume goes on from before the last checkpoint that was due, or from before where it began."""
    resume = hit["resume"]
    if hit["ended"] or not resume:
        return False
    if len(set(resume)) > 1 or resume[0] < max(hit["before"], default=0):
        return True
    if hit["phase"] != 1:
        return resume[0] < hit["saved"]
    if name != "SIGKILL":
        return resume[0] != hit["reached"] or f"Interrupted at step {resume[0]} of " not in hit["said"]
    since = hit["before_at"] - hit["saved_at"] if min(hit["before_at"], hit["saved_at"]) > 0 else 0.0
    return resume[0] < hit["saved"] or since >= INTERVAL


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "every", "least"), [("run", 2, 30), ("fused", 8, 25)])
def test_in_the_middle_of_a_write(kind, every, least, tmp_path):
    """A file is left half written, without its name, or without the others that belong to it."""
    ends = attempts("writes", kind, every, tmp_path)["ends"]
    assert len(ends) >= least
    assert [end for end in ends if end["codes"] != [9, 0] or end["said"] or end["differs"]] == []
