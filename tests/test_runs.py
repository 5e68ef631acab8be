"""Thousands of runs as one table."""

import json
import math
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import atml_exp
from atml_exp.errors import DamagedRunError
from atml_exp.recorder import RunWriter
from atml_exp.runs import SCHEMA, Run, find_runs, metrics_table, runs_table
from atml_exp.store.batchwise import BATCH


def write_run(root, i, rows=40, attempt=1):
    directory = root / "runs" / (f"run{i:05d}" if attempt == 1 else f"run{i:05d}-{attempt}")
    directory.mkdir(parents=True)
    config = {"seed": i % 5, "model": {"width": 2 ** (i % 4), "sizes": [1, 2]}, "loss": {"_target_": "m"}}
    info = {"run_id": f"run{i:05d}", "attempt": attempt, "status": "complete", "config": config}
    (directory / "run.json").write_text(json.dumps(info))
    table = pa.table(
        {
            "step": pa.array(range(rows), pa.int64()),
            "epoch": pa.array([s / 10 for s in range(rows)], pa.float64()),
            "name": pa.array(["train/loss", "test/error"] * (rows // 2), pa.string()),
            "value": pa.array([float(i + attempt)] * rows, pa.float64()),
        }
    )
    pq.write_table(table, directory / "metrics.parquet")


def test_where_a_path_is_asked_for_a_run_stands_for_its_directory(tmp_path):
    write_run(tmp_path, 0)
    (run,) = find_runs(tmp_path)
    assert os.fspath(run) == str(run) == f"{run}" == str(tmp_path / "runs" / "run00000")
    assert (Path(run) / "run.json").exists()
    assert Run(run).id == run.id
    assert len(atml_exp.load(run)) == 40


def test_one_row_for_each_value_with_the_config_beside_it(tmp_path):
    for i in range(3):
        write_run(tmp_path, i)
    frame = atml_exp.load(tmp_path)
    assert len(frame) == 120
    assert list(frame.columns[:7]) == ["run_id", "attempt", "status", "step", "epoch", "name", "value"]
    assert frame[frame.run_id == "run00002"]["model.width"].unique().tolist() == [4]
    assert frame["model.sizes"].unique().tolist() == ["[1, 2]"]
    assert frame[frame.seed == 1].value.unique().tolist() == [2.0]


def test_filters_by_config_value_by_list_and_by_metric(tmp_path):
    for i in range(8):
        write_run(tmp_path, i)
    assert set(atml_exp.load(tmp_path, seed=[0, 1]).seed) == {0, 1}
    assert set(atml_exp.load(tmp_path, **{"model.width": 8}).run_id) == {"run00003", "run00007"}
    assert set(atml_exp.load(tmp_path, model__width=8, seed=3).run_id) == {"run00003"}
    assert set(atml_exp.load(tmp_path, name="test/error").name) == {"test/error"}
    with pytest.raises(KeyError, match=r"did you mean 'model\.width'"):
        atml_exp.load(tmp_path, model__widht=8)


def test_filters_by_what_the_rows_of_a_run_differ_in(tmp_path):
    for i in range(3):
        write_run(tmp_path, i)
    every = atml_exp.load(tmp_path)
    some = atml_exp.load(tmp_path, step=[0, 3], seed=[0, 1])
    expected = every[every.step.isin([0, 3]) & every.seed.isin([0, 1])]
    assert 0 < len(some) < len(every)
    pd.testing.assert_frame_equal(some, expected.reset_index(drop=True))
    assert len(atml_exp.load(tmp_path, value=2.0)) == (every.value == 2.0).sum() > 0
    assert set(atml_exp.load(tmp_path, epoch=every.epoch.max()).epoch) == {every.epoch.max()}
    assert atml_exp.load(tmp_path, step=10**9).empty


def test_the_latest_attempt_stands_for_a_run(tmp_path):
    write_run(tmp_path, 0)
    write_run(tmp_path, 0, attempt=2)
    assert atml_exp.load(tmp_path).value.unique().tolist() == [2.0]
    assert atml_exp.load(tmp_path, attempt=1).value.unique().tolist() == [1.0]


def test_an_empty_folder_gives_an_empty_table_and_a_missing_one_an_error(tmp_path):
    assert len(atml_exp.load(tmp_path)) == 0
    with pytest.raises(FileNotFoundError, match="does not exist"):
        atml_exp.load(tmp_path / "nowhere")


def test_a_run_that_has_measured_nothing_yet_harms_no_other(tmp_path):
    write_run(tmp_path, 0)
    begun = RunWriter(tmp_path / "runs" / "begun", {"run_id": "begun", "config": {"seed": 9}}, "")
    frame = atml_exp.load(tmp_path)
    assert set(frame.run_id) == {"run00000"}
    assert frame.value.dtype == "float64"
    begun.close()


def test_a_damaged_run_is_left_out_with_its_name(tmp_path):
    write_run(tmp_path, 0)
    write_run(tmp_path, 1)
    (tmp_path / "runs" / "run00001" / "run.json").write_text('{"run_id"')
    with pytest.warns(UserWarning, match=r"run00001.run\.json is damaged: .*; the run is left out"):
        assert set(atml_exp.load(tmp_path).run_id) == {"run00000"}


SOUND = {"run_id": "foreign", "status": "complete", "config": {"seed": 0}}
FOREIGN = {
    "nothing": ({}, "run_id is missing"),
    "another program's": ({"name": "x", "config": {}}, "run_id is missing"),
    "no status": ({"run_id": "foreign", "config": {}}, "status is missing"),
    "no config": ({"run_id": "foreign", "status": "complete"}, "config is missing"),
    "an id of another type": (SOUND | {"run_id": [1]}, r"run_id = \[1\]"),
    "a config of another type": (SOUND | {"config": [1]}, r"config = \[1\]"),
    "an attempt of another type": (SOUND | {"attempt": "a"}, "attempt = a"),
    "files of another type": (SOUND | {"files": [1]}, r"files = \[1\]"),
    "a list": ([1, 2], "holds no JSON object"),
    "a number": (3, "holds no JSON object"),
}


@pytest.mark.parametrize(("content", "what"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("read", [atml_exp.load, atml_exp.runs_table])
def test_a_run_json_of_another_program_is_left_out_with_its_name(tmp_path, read, content, what):
    write_run(tmp_path, 0)
    directory = tmp_path / "runs" / "foreign"
    directory.mkdir()
    (directory / "run.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=rf"foreign.run\.json is damaged: .*{what}.*; the run is left out"):
        assert set(read(tmp_path).run_id) == {"run00000"}
    if "missing" not in what:
        with pytest.raises(DamagedRunError, match=what):
            _ = Run(directory).info


def test_text_is_compared_without_case_and_a_value_that_nothing_has_is_told(tmp_path):
    write_run(tmp_path, 0)
    assert len(atml_exp.load(tmp_path, status="Complete")) > 0
    with pytest.warns(UserWarning, match="no run has status = 'done'; there are: complete"):
        assert len(atml_exp.load(tmp_path, status="done")) == 0


def test_a_single_run_directory_or_the_folder_of_runs_can_be_named(tmp_path):
    write_run(tmp_path, 0)
    write_run(tmp_path, 1)
    assert len(list(find_runs(tmp_path / "runs"))) == 2
    assert len(list(find_runs(tmp_path / "runs" / "run00001"))) == 1


def test_the_table_of_metrics_is_that_of_pyarrow():
    rows = [(0, 0.5, "train/loss", 2.0), (10, 1.0, "wörter/∑", math.nan), (2**40, 1e300, "", -0.0)]
    for some in (rows, rows[:1], []):
        columns = [[row[i] for row in some] for i in range(4)]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        expected = pa.Table.from_arrays(arrays, schema=SCHEMA)
        found = metrics_table(some)
        found.validate(full=True)
        assert found.to_pandas().equals(expected.to_pandas())
        assert found.schema == SCHEMA


def test_one_row_for_each_run_with_the_filters_of_load(tmp_path):
    for i in range(4):
        write_run(tmp_path, i)
    write_run(tmp_path, 0, attempt=2)
    (tmp_path / "runs" / "run00001" / "metrics.parquet").unlink()  # it is not read
    table = runs_table(tmp_path)
    assert list(table.run_id) == [f"run{i:05d}" for i in range(4)]
    assert list(table.attempt) == [2, 1, 1, 1]
    assert list(runs_table(tmp_path, model__width=4).run_id) == ["run00002"]
    with pytest.raises(KeyError, match="did you mean 'seed'"):
        runs_table(tmp_path, sed=0)


def test_more_runs_than_a_batch_stay_in_order_with_their_own_values(tmp_path):
    for i in range(BATCH + 5):
        write_run(tmp_path, i, rows=2)
    frame = atml_exp.load(tmp_path)
    assert frame.value.tolist() == [i + 1 for i in range(BATCH + 5) for _ in range(2)]
    assert [int(r[3:]) for r in frame.run_id] == [i for i in range(BATCH + 5) for _ in range(2)]
    some = atml_exp.load(tmp_path, name="test/error")
    assert some.equals(frame[frame.name == "test/error"].reset_index(drop=True))
    assert list(some.name.cat.categories) == ["train/loss", "test/error"]


def test_metrics_of_runs_that_are_not_asked_for_are_not_read(tmp_path):
    for i in range(3):
        write_run(tmp_path, i)
    (tmp_path / "runs" / "run00001" / "metrics.parquet").write_bytes(b"damaged")
    assert set(atml_exp.load(tmp_path, seed=[0, 2]).run_id) == {"run00000", "run00002"}
    with pytest.warns(UserWarning, match=r"run00001.*left out"):
        assert set(atml_exp.load(tmp_path).run_id) == {"run00000", "run00002"}
