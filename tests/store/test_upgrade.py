"""Run directories of format 1, as they were stored by the code of that time, are read, found and gone on with.

What this protects: whoever has trained with an earlier version keeps those runs. The run id of a config must stay
what it was, so that the ledger finds the run and nothing is trained twice; so the configs below, and every name and
default in them, must remain composable. Where one of these tests fails, the change that broke it is wrong, not the
stored files: these are never made anew.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import atml_exp
from atml_exp.compose import compose
from atml_exp.errors import DamagedRunError
from atml_exp.recorder import Checkpoint, RunWriter
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.store.damage import damage
from atml_exp.store.identity import run_id
from atml_exp.store.integrity import read_info
from atml_exp.store.ledger import look_up
from atml_exp.store.upgrade import upgrade
from atml_exp.validate import validate

STORED = Path(__file__).parents[1] / "stored" / "format_1" / "runs"
COMMON = [
    "dataset=two_moons",
    "dataset.num_train=24",
    "dataset.num_test=16",
    "model.width=4",
    "progress=false",
    "device=cpu",
    "recipe.evaluate_every=4it",
    "recipe.batch_size=8",
    "probe.trajectory.start=0it",
]
WHOLE = [
    *COMMON,
    "recipe.steps=12",
    "checkpoint.keep=6it",
    "probe=[sharpness,trajectory]",
    "probe.sharpness.every=6it",
]
CUT_OFF = [
    *COMMON,
    "recipe=iterative_pruning",
    "recipe.rounds=2",
    "recipe.steps=4it",
    "checkpoint.keep=6it",
    "checkpoint.interval=0",
    "probe=[trajectory]",
    "seed=1",
]
RUNS = {"whole": ("4673c883180d9fd0", WHOLE), "cut off": ("2e4d70d71dd95ee0", CUT_OFF)}


def config(folder, overrides):
    composed = compose([*overrides, f"output_dir={Path(folder).as_posix()}"])
    validate(composed)
    return composed


@pytest.fixture
def stored(tmp_path):
    shutil.copytree(STORED, tmp_path / "runs")
    return {name: tmp_path / "runs" / identity for name, (identity, _) in RUNS.items()}


def trained(folder, overrides):
    (result,) = run([config(folder, overrides)], reports=False)
    return result


@pytest.mark.parametrize("name", RUNS)
def test_a_config_of_that_time_has_the_same_run_id_and_its_run_is_sound(tmp_path, stored, name):
    identity, overrides = RUNS[name]
    assert run_id(config(tmp_path, overrides)) == identity
    assert read_info(stored[name])["format_version"] == 1
    assert damage(stored[name]) == []
    assert look_up(tmp_path, identity).finished == (name == "whole")


def test_a_finished_run_is_read_and_not_trained_again(tmp_path, stored):
    before = {p: p.read_bytes() for p in stored["whole"].rglob("*") if p.is_file()}
    result = trained(tmp_path, WHOLE)
    assert result.reused
    done = Run(result.directory)
    assert done.series("train/loss")[0].tolist() == [0, 4, 8, 12]
    assert done.array("trajectory/weights")[1].shape == (13, 42)
    assert [Checkpoint(p).step for p in done.checkpoints] == [0, 6, 12]
    assert "two_moons" in done.config_yaml
    assert done.array_names == ["trajectory/weights"]
    assert {p: p.read_bytes() for p in stored["whole"].rglob("*") if p.is_file()} == before


def test_both_stand_in_the_table_of_all_runs(tmp_path, stored):
    table = atml_exp.load(tmp_path, name="train/loss")
    assert table.groupby("run_id")["step"].apply(list).to_dict() == {
        RUNS["whole"][0]: [0, 4, 8, 12],
        RUNS["cut off"][0]: [0, 4, 5],
    }


def test_its_checkpoints_are_measured(stored, probe_command):
    ended = probe_command(stored["whole"], "probe=pruning", "device=cpu")
    assert ended.code == 0, ended.err
    assert {line.split()[0] for line in ended.out.splitlines()[1:]} == {"0", "6", "12"}


def test_a_run_that_was_cut_off_goes_on_in_the_present_format(tmp_path, stored):
    before = Run(stored["cut off"])
    rows, weights = before.table().to_pylist(), before.array("trajectory/weights")
    result = trained(tmp_path, CUT_OFF)
    assert (result.reused, result.directory) == (False, stored["cut off"])
    done = Run(result.directory)
    assert done.info["format_version"] == 2
    assert {"checkpoints/step_00000004.safetensors", "metrics.parquet"} <= set(done.info["files"])
    assert damage(result.directory) == []
    assert done.table().to_pylist()[: len(rows)] == rows
    steps, values = done.array("trajectory/weights")
    assert steps.tolist() == list(range(67))
    np.testing.assert_array_equal(values[: len(weights[0])], weights[1])
    anew = Run(trained(tmp_path / "anew", CUT_OFF).directory)
    np.testing.assert_allclose(values, anew.array("trajectory/weights")[1], rtol=1e-4, atol=1e-6)  # another CPU
    assert done.metrics["name"].tolist() == anew.metrics["name"].tolist()


def test_bringing_a_run_to_the_present_format_can_be_killed_at_any_file(tmp_path, stored):
    from atml_exp.store import files

    replace, killed = files.os.replace, 0

    class Killed(BaseException):
        pass

    for at in range(1, 100):
        directory = shutil.copytree(stored["cut off"], tmp_path / f"{at}" / stored["cut off"].name)
        count = [0]

        def counted(*paths, count=count, at=at):
            count[0] += 1
            if count[0] == at:
                raise Killed
            return replace(*paths)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.os, "replace", counted)
            try:
                upgrade(directory)
                break
            except Killed:
                killed += 1
        assert damage(directory) == []
        assert Run(directory).array("trajectory/weights")[0].tolist() == list(range(8))
        writer = RunWriter(directory, {**read_info(directory)}, "seed: 1\n")
        writer.close()
        assert (writer.resumed.step, writer.stage(4).step) == (8, 4)
        assert damage(directory) == []
    assert killed == len(list(stored["cut off"].rglob("*"))) - len(("run.json", "config.yaml", *"acct"))


FILES = {
    "whole": [
        "config.yaml",
        "metrics.parquet",
        "arrays/trajectory.weights.npz",
        "checkpoints/step_00000006.safetensors",
    ],
    "cut off": [
        "config.yaml",
        "metrics.jsonl",
        "arrays/chunks/trajectory.weights/00000003.npz",
        "checkpoints/step_00000004.safetensors",
        "checkpoints/stage_00000004.safetensors",
        "checkpoints/resume.safetensors",
    ],
}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in FILES for file in ["run.json", *FILES[name]]])
def test_what_cannot_be_read_as_what_it_should_be_is_found_without_checksums(tmp_path, stored, name, file):
    path = stored[name] / file
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        problems = damage(stored[name])
        if file == "config.yaml" and content == whole[: len(whole) // 2]:
            continue  # may still be YAML
        if file == "metrics.jsonl" and content == whole[: len(whole) // 2]:
            continue  # ends as a kill may leave it
        assert [line.partition(":")[0] for line in problems] == [file]
    with pytest.raises(DamagedRunError, match="now trains it again"):
        trained(tmp_path, RUNS[name][1])
    assert not trained(tmp_path, RUNS[name][1]).reused


def test_a_format_of_its_own_is_told_apart(stored):
    path = stored["whole"] / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    with pytest.raises(DamagedRunError, match="has lost its checksum"):
        assert Run(stored["whole"]).info
