"""A fused sweep leaves what the same jobs leave one by one; what fails harms nothing else."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from atml_exp import population, runner, sitting
from atml_exp.optimisers.sgd import SGD
from atml_exp.runs import Run, find_runs
from tests.launchers.cluster_page import of_page

SWEEP = (
    "--multirun",
    "dataset=gaussian_mixture",
    "model.width=4",
    "recipe.steps=12",
    "recipe.batch_size=16",
    "recipe.evaluate_every=5it",
    "probe=[sharpness]",
    "probe.sharpness.every=6it",
    "dtype=float64",
    "progress=false",
    "device=cpu",
)
(FUSED,), RETRY = of_page("fused")
JOBS = ("seed=0,1,2", "optimiser.learning_rate=0.01,0.1")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs were in each population that was trained."""
    trained: list[int] = []
    train = runner.train_group

    def counted(members, *rest):
        trained.append(len(members))
        return train(members, *rest)

    monkeypatch.setattr(runner, "train_group", counted)
    return trained


def table(folder: Path) -> dict[str, Run]:
    return {run.id: run for run in find_runs(folder)}


def test_it_leaves_the_runs_of_the_basic_launcher(command, tmp_path):
    basic = command(*SWEEP, *JOBS, "output_dir=basic")
    fused = command(*SWEEP, *JOBS, FUSED, "output_dir=fused")
    assert (basic.code, fused.code) == (0, 0)
    expected, found = table(tmp_path / "basic"), table(tmp_path / "fused")
    assert len(expected) == 6
    assert found.keys() == expected.keys()
    for name, run in expected.items():
        assert found[name].metrics["name"].tolist() == run.metrics["name"].tolist()
        np.testing.assert_allclose(found[name].metrics["value"], run.metrics["value"], rtol=1e-9, atol=1e-14)
        assert {p.name for p in found[name].directory.iterdir()} == {p.name for p in run.directory.iterdir()}


def test_what_is_there_is_not_trained_again(command, tmp_path, sizes):
    assert "sweep of 3 jobs: 3 complete" in command(*SWEEP, "seed=0,1,2", FUSED).out
    assert "sweep of 5 jobs: 2 complete, 3 reused" in command(*SWEEP, "seed=0,1,2,3,4", FUSED).out
    assert sizes == [3, 2]
    assert len(table(tmp_path / "outputs")) == 5


def test_populations_can_be_small(command, sizes):
    assert command(*SWEEP, *JOBS, FUSED, "hydra.launcher.max_replicas=4").code == 0
    assert sizes == [4, 2]


def test_populations_of_one_kind_share_the_recorded_step(command, monkeypatch):
    calls = []
    traced = population.traced
    monkeypatch.setattr(population, "traced", lambda *a, **options: calls.append(1) or traced(*a, **options))
    assert command(*SWEEP, *JOBS, FUSED, "hydra.launcher.max_replicas=3").code == 0
    assert len(calls) == 1


def test_a_population_that_does_not_fit_in_memory_is_halved(command, tmp_path, monkeypatch):
    assemble = sitting.assemble

    def limited(models, *rest, **options):
        if len(models) > 2:
            raise MemoryError
        return assemble(models, *rest, **options)

    monkeypatch.setattr(sitting, "assemble", limited)
    assert "sweep of 6 jobs: 6 complete" in command(*SWEEP, *JOBS, FUSED).out


def test_a_replica_that_diverges_is_named_and_harms_no_other(command):
    ended = command(
        *SWEEP, "loss=mse", "optimiser=sgd", "optimiser.learning_rate=0.01,1e6", "recipe.steps=90", FUSED
    )
    assert ended.code == 0
    assert "sweep of 2 jobs: 1 complete, 1 diverged" in ended.out
    assert "diverged: " in ended.out


def test_what_fails_is_said_with_its_reason_and_stops_no_other(command, explosive):
    ended = command(*SWEEP, *explosive, FUSED)
    assert ended.code == 1
    assert "sweep of 4 jobs: 2 complete, 2 failed" in ended.out
    assert ended.out.count("  failed, 2 jobs: RuntimeError: boom\n") == 1
    assert len(re.findall(r"(?m)^    .*\+optimiser\.explode=True .*seed=[01]$", ended.out)) == 2
    assert "Traceback" not in ended.err
    again = command(*SWEEP, *explosive, FUSED)
    assert "sweep of 4 jobs: 2 failed, 2 reused" in again.out


def test_what_failed_can_be_tried_again(command, explosive, monkeypatch):
    command(*SWEEP, *explosive, FUSED)
    monkeypatch.setattr(sys.modules["user_optimisers"].Explosive, "update", SGD.update)
    ended = command(*SWEEP, *explosive, *RETRY)
    assert (ended.code, "sweep of 4 jobs: 2 complete, 2 reused" in ended.out) == (0, True)


def test_one_job_that_cannot_run_stops_the_sweep_before_it_begins(command, tmp_path):
    message = command(*SWEEP, "dataset=gaussian_mixture,diabetes", "loss=cross_entropy", FUSED).message
    assert "cross_entropy" in message
    assert not list(tmp_path.glob("outputs/runs/*"))


def test_what_fails_before_it_has_a_directory_is_said_too(command, monkeypatch):
    def broken(*models, **options):
        raise RuntimeError("no room")

    monkeypatch.setattr(sitting, "assemble", broken)
    ended = command(*SWEEP, "seed=0,1", FUSED)
    assert (ended.code, ended.out.count("  failed, 2 jobs: RuntimeError: no room\n")) == (1, 1)
    assert "sweep of 2 jobs: 2 failed" in ended.out
