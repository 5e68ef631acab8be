"""What a run was made with, and the command that asks for it."""

import pytest
import torch

from atml_exp.store.environment import _git_state, command, determinism, environment


def test_versions_and_machine():
    found = environment()
    assert found["versions"]["torch"] == torch.__version__
    assert found["machine"]["cpus"] >= 1


def test_outside_of_a_command_line_there_is_no_command():
    assert command() is None


def test_code_that_a_repository_does_not_track_has_no_commit(tmp_path):
    import subprocess

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    site_packages = tmp_path / ".venv" / "atml_exp"
    site_packages.mkdir(parents=True)
    assert _git_state(site_packages) is None
    (site_packages / "file").touch()
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    assert _git_state(site_packages)["dirty"] is True


def test_the_level_of_determinism_is_that_of_the_device():
    assert (determinism("cpu")["level"], determinism("cuda")["level"]) == ("bit-identical", "up to rounding")


TINY = ["dataset=two_moons", "dataset.num_train=20", "model.width=4", "recipe.steps=6", "recipe.batch_size=5"]


def _train(folder, *more):
    from atml_exp.compose import compose
    from atml_exp.runner import run

    config = compose([*TINY, "probe=[sharpness]", "device=cpu", f"output_dir={folder}", "progress=false", *more])
    (result,) = run([config], reports=False)
    return result.directory


def test_two_runs_on_the_same_threads_are_bit_identical(tmp_path):
    import json

    first, second = _train(tmp_path / "a"), _train(tmp_path / "b")
    names = ["metrics.parquet", *(p.relative_to(first) for p in first.glob("checkpoints/*"))]
    assert len(names) > 1
    assert all((first / n).read_bytes() == (second / n).read_bytes() for n in names)
    assert json.loads((first / "run.json").read_text())["determinism"]["level"] == "bit-identical"


def test_going_on_with_another_number_of_threads_is_said_and_recorded(tmp_path, monkeypatch, caplog):
    from atml_exp import sitting, train
    from atml_exp.runs import Run

    step, calls = train.update, []

    def stopped(*a, **k):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*a, **k)

    monkeypatch.setattr(train, "update", stopped)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path)
    there = environment()
    other = {**there, "machine": {**there["machine"], "threads": 77}}
    monkeypatch.setattr(sitting, "environment", lambda: other)
    info = Run(_train(tmp_path)).info
    assert [s["threads"] for s in info["sittings"]] == [there["machine"]["threads"], 77]
    (said,) = [r.getMessage() for r in caplog.records if "goes on from step" in r.getMessage()]
    assert f"threads 77, device cpu, and began with torch {torch.__version__}" in said
