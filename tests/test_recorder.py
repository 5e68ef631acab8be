"""A run directory is whole or can be gone on with; nothing is pickled, nothing overwritten."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from atml_exp.errors import RunBusyError
from atml_exp.recorder import Checkpoint, RunWriter
from atml_exp.runs import Run
from atml_exp.store.ledger import look_up

INFO = {"run_id": "abc", "config": {"seed": 0}}
MODEL = {"w": torch.arange(3.0)}


def writer(tmp_path, **info):
    return RunWriter(tmp_path / "abc", {**INFO, **info}, "seed: 0\n")


def record(w, steps):
    for step in steps:
        w.scalars(step, step / 10, {"train/loss": 1 / (step + 1)})
        w.arrays(step, {"trajectory/weights": torch.full((2,), float(step))})


def test_a_finished_run_reads_back_as_it_was_written(tmp_path):
    w = writer(tmp_path)
    record(w, range(5))
    w.keep(4, MODEL)
    w.finish("complete", steps=4)
    run = Run(tmp_path / "abc")
    steps, values = run.array("trajectory/weights")
    assert run.status == "complete"
    assert run.series("train/loss")[1].tolist() == [1 / (s + 1) for s in range(5)]
    assert steps.tolist() == list(range(5))
    assert values.tolist() == [[s, s] for s in range(5)]
    assert torch.equal(Checkpoint(run.checkpoints[0]).model["w"], MODEL["w"])
    names = sorted(p.relative_to(run.directory).as_posix() for p in run.directory.rglob("*") if p.is_file())
    assert names == [
        "arrays/trajectory.weights.npz",
        "checkpoints/step_00000004.safetensors",
        "config.yaml",
        "metrics.parquet",
        "run.json",
    ]


def test_what_came_after_the_checkpoint_is_dropped_and_nothing_before_it(tmp_path):
    w = writer(tmp_path)
    record(w, range(3))
    w.checkpoint(3, MODEL, {"v": torch.ones(3)})
    record(w, range(3, 6))
    w._flush_arrays(6)  # killed between the arrays' chunk and its checkpoint
    w._log.write('[6, 0.6, "train/lo')  # killed in the middle of a line
    w._log.flush()
    w.close()
    again = writer(tmp_path)
    assert again.resumed.step == 3
    assert torch.equal(again.resumed.optimiser["v"], torch.ones(3))
    record(again, range(3, 5))
    again.finish("complete")
    run = Run(tmp_path / "abc")
    assert run.series("train/loss")[0].tolist() == [0, 1, 2, 3, 4]
    assert run.array("trajectory/weights")[0].tolist() == [0, 1, 2, 3, 4]


def test_a_run_cut_off_before_its_first_checkpoint_starts_over(tmp_path):
    w = writer(tmp_path)
    record(w, range(3))
    w.close()
    again = writer(tmp_path)
    assert again.resumed is None
    again.finish("complete")
    assert len(Run(tmp_path / "abc").metrics) == 0


def test_an_unfinished_run_can_be_read(tmp_path):
    w = writer(tmp_path)
    record(w, range(3))
    w.checkpoint(3, MODEL, {})
    run = Run(tmp_path / "abc")
    assert run.status == "running"
    assert list(run.metrics.columns) == ["step", "epoch", "name", "value"]
    assert len(run.metrics) == 3
    assert run.array("trajectory/weights")[1].shape == (3, 2)
    w.close()


def test_a_second_writer_is_told_that_the_run_is_taken(tmp_path):
    w = writer(tmp_path)
    with pytest.raises(RunBusyError, match="another process"):
        writer(tmp_path)
    w.finish("complete")


def test_numbers_that_are_not_finite_survive_and_run_json_stays_strict_json(tmp_path):
    w = writer(tmp_path)
    w.scalars(0, 0.0, {"train/loss": float("nan"), "test/loss": float("inf")})
    w.close()
    again = writer(tmp_path)
    again.finish("diverged", value=float("nan"))
    assert json.loads((tmp_path / "abc" / "run.json").read_text(), parse_constant=pytest.fail)["value"] is None


def test_arrays_need_no_pickle(tmp_path):
    w = writer(tmp_path)
    record(w, range(2))
    w.finish("complete")
    with np.load(tmp_path / "abc" / "arrays" / "trajectory.weights.npz", allow_pickle=False) as file:
        assert file["values"].shape == (2, 2)


def test_asking_for_an_array_that_was_not_recorded_says_which_were(tmp_path):
    w = writer(tmp_path)
    record(w, range(1))
    with pytest.raises(KeyError, match="trajectory/weights"):
        w.recorded("trajectory/weigths")
    w.finish("complete")


@pytest.mark.skipif(os.name == "nt", reason="no name of a file has a colon there")
@pytest.mark.parametrize("name", ["file://", "s3://bucket/x", "gs://bucket/x", "mock://x", "hdfs://x"])
def test_a_folder_whose_name_looks_like_a_place_elsewhere_is_a_folder(tmp_path, monkeypatch, name):
    """Relative, as it is given on the command line, and with the folder that a `file:` would mean."""
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = Path(f"{name}{outside}" if name == "file://" else name)
    w = RunWriter(folder / "abc", INFO, "seed: 0\n")
    record(w, range(3))
    w.keep(2, MODEL)
    w.finish("complete", steps=2)
    run = Run(folder / "abc")
    assert run.series("train/loss")[1].tolist() == [1 / (s + 1) for s in range(3)]
    assert run.array("trajectory/weights")[0].tolist() == [0, 1, 2]
    assert torch.equal(Checkpoint(run.checkpoints[0]).model["w"], MODEL["w"])
    assert list(outside.iterdir()) == []


def test_the_ledger_finds_the_latest_attempt_and_force_makes_a_new_one(tmp_path):
    out = tmp_path
    assert look_up(out, "abc").directory == out / "runs" / "abc"
    w = RunWriter(out / "runs" / "abc", INFO, "")
    assert not look_up(out, "abc", force=True).finished
    assert look_up(out, "abc", force=True).attempt == 1  # an unfinished run is gone on with
    w.finish("complete")
    assert look_up(out, "abc").finished
    forced = look_up(out, "abc", force=True)
    assert (forced.directory.name, forced.attempt, forced.finished) == ("abc-2", 2, False)
    RunWriter(forced.directory, INFO, "").finish("diverged")
    assert look_up(out, "abc").directory == forced.directory
    assert look_up(out, "abc").finished


def test_what_was_measured_at_the_step_of_a_checkpoint_is_measured_anew_and_stands_there_once(tmp_path):
    """Ctrl-C comes between measuring a step and making it."""
    w = writer(tmp_path)
    record(w, range(4))
    w.checkpoint(3, MODEL, {})
    w.interrupt()
    again = writer(tmp_path)
    record(again, range(3, 6))
    again.finish("complete", steps=5)
    steps, values = Run(tmp_path / "abc").array("trajectory/weights")
    assert steps.tolist() == list(range(6))
    assert values[:, 0].tolist() == list(range(6))
    assert Run(tmp_path / "abc").series("train/loss")[0].tolist() == list(range(6))


def test_a_checkpoint_leaves_what_was_measured_at_its_step_to_the_next(tmp_path):
    w = writer(tmp_path)
    record(w, range(4))
    w.checkpoint(3, MODEL, {})
    record(w, range(4, 6))
    w.finish("complete", steps=5)
    assert Run(tmp_path / "abc").array("trajectory/weights")[0].tolist() == list(range(6))


@pytest.fixture
def little_memory(monkeypatch):
    """Room for three records of `record`, which are 8 bytes each."""
    monkeypatch.setattr("atml_exp.recorder.LIMIT", 24)


def test_arrays_that_grow_large_go_to_disk_and_come_back_whole(tmp_path, little_memory):
    w = writer(tmp_path)
    for step in range(10):
        record(w, [step])
        assert len(w._arrays["trajectory/weights"]) <= 3
    assert w.recorded("trajectory/weights").tolist() == [[s, s] for s in range(10)]
    assert [p.stem for p in sorted(w._chunks.glob("*/*.npz"))] == ["00000003", "00000006", "00000009"]
    w.finish("complete", steps=9)
    steps, values = Run(tmp_path / "abc").array("trajectory/weights")
    assert steps.tolist() == list(range(10))
    assert values.tolist() == [[s, s] for s in range(10)]
    assert values.dtype == np.float32


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize(
    "interrupted", [False, True], ids=["killed later", "interrupted at a step that was measured"]
)
def test_a_resume_after_arrays_went_to_disk_has_each_step_once(tmp_path, little_memory, at, interrupted):
    w = writer(tmp_path)
    record(w, range(at + interrupted))
    w.checkpoint(at, MODEL, {})
    record(w, [] if interrupted else range(at, 9))
    w.close()
    again = writer(tmp_path)
    record(again, range(at, 12))
    again.finish("complete", steps=11)
    steps, values = Run(tmp_path / "abc").array("trajectory/weights")
    assert steps.tolist() == list(range(12))
    assert values.tolist() == [[s, s] for s in range(12)]
