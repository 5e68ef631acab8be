"""Attempts at a run: the latest counts, force never writes over one that has ended, and looking changes nothing."""

import json
import os

import pyarrow.parquet as pq
import pytest

from atml_exp.errors import ConfigError
from atml_exp.runs import metrics_table
from atml_exp.store.ledger import later_attempts, look_up
from atml_exp.store.lock import Lock


def attempt(tmp_path, name, status):
    directory = tmp_path / "runs" / name
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"run_id": "abc", "status": status, "config": {}}))
    (directory / "config.yaml").write_text("seed: 0\n")
    pq.write_table(metrics_table([]), directory / "metrics.parquet")


def found(tmp_path, force=False):
    entry = look_up(tmp_path, "abc", force=force)
    assert entry.damage == ()
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


@pytest.mark.parametrize("there", [("abc", "abc-3"), ("abc-3",), ("abc-2", "abc-3"), ("abc", "abc-2", "abc-3")])
def test_the_latest_attempt_counts_whichever_before_it_are_gone(tmp_path, there):
    for name in there:
        attempt(tmp_path, name, "complete")
    assert found(tmp_path) == ("abc-3", 3, True)
    assert found(tmp_path, force=True) == ("abc-4", 4, False)


def test_numbers_are_counted_as_numbers_and_what_has_not_begun_or_is_none_does_not_count(tmp_path):
    for name in ("abc", "abc-9", "abc-10", "abc-d-11", "abc-1", "abc-0x", "abc-²", "-12"):
        attempt(tmp_path, name, "complete")
    (tmp_path / "runs" / "abc-11").mkdir()
    (tmp_path / "runs" / "abc-12").touch()
    assert found(tmp_path) == ("abc-10", 10, True)


def test_who_looks_up_many_runs_lists_their_folder_once(tmp_path, monkeypatch):
    assert later_attempts(tmp_path) == {}
    for name in ("abc", "abc-3", "abc-2", "def", "ghi-2"):
        attempt(tmp_path, name, "complete")
    later = later_attempts(tmp_path)
    assert later == {"abc": [3, 2], "ghi": [2]}
    monkeypatch.setattr(os, "listdir", None)
    assert look_up(tmp_path, "abc", later=later).attempt == 3
    assert look_up(tmp_path, "def", later=later).attempt == 1


def test_a_folder_that_cannot_be_listed_is_one_message(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(
        ConfigError, match=r"^output_dir = .*: .*Permission denied.*; allowed: a folder that can be"
    ):
        look_up(tmp_path, "abc")


def test_another_run_with_the_same_beginning_is_another_run(tmp_path):
    attempt(tmp_path, "abcd", "complete")
    assert found(tmp_path) == ("abc", 1, False)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("lost", ["metrics.parquet", "config.yaml"])
def test_a_damaged_run_is_neither_finished_nor_gone_on_with_and_is_named(tmp_path, lost, force):
    attempt(tmp_path, "abc", "complete")
    (tmp_path / "runs" / "abc" / lost).unlink()
    before = sorted(tmp_path.rglob("*"))
    entry = look_up(tmp_path, "abc", force=force)
    assert (entry.directory.name, entry.finished, entry.damage) == ("abc", False, (f"{lost}: is missing",))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_json_that_cannot_be_read_is_named(tmp_path):
    attempt(tmp_path, "abc", "complete")
    (tmp_path / "runs" / "abc" / "run.json").write_text("{")
    entry = look_up(tmp_path, "abc")
    assert not entry.finished
    assert entry.damage[0].startswith("run.json: can't be read (JSONDecodeError: ")


def test_what_somebody_is_training_is_not_called_damaged(tmp_path):
    attempt(tmp_path, "abc", "running")
    (tmp_path / "runs" / "abc" / "config.yaml").unlink()
    lock = Lock(tmp_path / "runs" / "abc")
    assert found(tmp_path) == ("abc", 1, False)
    lock.release()
    assert look_up(tmp_path, "abc").damage == ("config.yaml: is missing",)


def test_a_run_of_a_newer_version_is_refused_by_name(tmp_path):
    attempt(tmp_path, "abc", "complete")
    path = tmp_path / "runs" / "abc" / "run.json"
    path.write_text(json.dumps({"run_id": "abc", "status": "complete", "config": {}, "format_version": 3}))
    with pytest.raises(ConfigError, match=r"abc: made by a newer atml_exp: format 3; this one reads 1 and 2"):
        look_up(tmp_path, "abc")
