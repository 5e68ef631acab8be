"""Attempts at a run: the latest counts, and force never writes over one that has ended."""

import json

import pytest

from atml_exp.errors import ConfigError
from atml_exp.ledger import look_up


def attempt(tmp_path, name, status):
    directory = tmp_path / "runs" / name
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"run_id": "abc", "status": status}))
    (directory / "metrics.parquet").touch()


def found(tmp_path, force=False):
    entry = look_up(tmp_path, "abc", force=force)
    return entry.directory.name, entry.attempt, entry.finished


def test_without_a_run_the_first_attempt_is_next(tmp_path):
    assert found(tmp_path) == found(tmp_path, force=True) == ("abc", 1, False)


@pytest.mark.parametrize("status", ["complete", "diverged"])
def test_a_run_that_has_ended_is_found_and_force_goes_beside_it(tmp_path, status):
    attempt(tmp_path, "abc", status)
    assert found(tmp_path) == ("abc", 1, True)
    assert found(tmp_path, force=True) == ("abc-2", 2, False)
    attempt(tmp_path, "abc-2", status)
    assert found(tmp_path) == ("abc-2", 2, True)


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_run_that_was_cut_off_is_gone_on_with(tmp_path, status):
    attempt(tmp_path, "abc", "complete")
    attempt(tmp_path, "abc-2", status)
    assert found(tmp_path) == found(tmp_path, force=True) == ("abc-2", 2, False)


def test_another_run_with_the_same_beginning_is_another_run(tmp_path):
    attempt(tmp_path, "abcd", "complete")
    assert found(tmp_path) == ("abc", 1, False)


@pytest.mark.parametrize(("lost", "message"), [("metrics", "metrics.parquet is not there"), ("info", "is damaged")])
def test_a_damaged_run_is_neither_returned_nor_trained_over(tmp_path, lost, message):
    attempt(tmp_path, "abc", "complete")
    if lost == "metrics":
        (tmp_path / "runs" / "abc" / "metrics.parquet").unlink()
        assert found(tmp_path, force=True) == ("abc-2", 2, False)
    else:
        (tmp_path / "runs" / "abc" / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=message):
        found(tmp_path)
