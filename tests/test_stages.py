"""A recipe of several trainings goes on in the middle, to the same bytes; steps are counted over all of them."""

import pytest
import torch

from atml_exp import train
from atml_exp.compose import compose
from atml_exp.population import assemble
from atml_exp.recorder import Checkpoint
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.stages import Stages

SMALL = (
    "dataset=gaussian_mixture", "model.width=8", "optimiser=momentum", "probe=[trajectory]", "device=cpu",
    "probe.trajectory.start=0it", "checkpoint.interval=0", "checkpoint.keep=end", "progress=false",
    "recipe=lottery_ticket", "recipe.rounds=2", "recipe.rewind_to=4it", "recipe.steps=10it", "recipe.keep=0.5",
    "recipe.batch_size=16", "recipe.evaluate_every=2it",
)  # fmt: skip


def config(tmp_path, *overrides):
    return compose([*SMALL, f"output_dir={tmp_path.as_posix()}", *overrides])


def one(tmp_path, *overrides):
    (result,) = run([config(tmp_path, *overrides)], reports=False)
    return Run(result.directory)


def cut_off(tmp_path, updates, *overrides):
    """Ctrl-C after a number of updates, of all stages together."""
    update, calls = train.update, []

    def interrupted(*arguments):
        if len(calls) == updates:
            raise KeyboardInterrupt
        calls.append(1)
        return update(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run([config(tmp_path, *overrides)], reports=False)


def contents(run):
    """All that isn't about the clock."""
    files = [
        p for p in run.directory.rglob("*") if p.is_file() and p.name not in ("run.json", "config.yaml", ".lock")
    ]
    return {p.relative_to(run.directory).as_posix(): p.read_bytes() for p in files}


def test_steps_are_counted_over_all_stages_and_no_weights_are_measured_twice(tmp_path):
    done = one(tmp_path)
    steps = done.series("test/error")[0].tolist()
    first, second = [11, 13, 15, 17], [18, 20, 22, 24]  # each starts at step 4 of the schedule, one after the end
    assert steps == [0, 2, 4, 6, 8, 10, *first, *second]
    assert done.info["steps"] == 24
    assert [Checkpoint(p).step for p in done.checkpoints] == [4, 10, 17, 24]
    assert done.array("trajectory/weights")[0].tolist() == list(range(25))
    assert not list((done.directory / "checkpoints").glob("stage_*"))


@pytest.mark.parametrize("arm", ["ticket", "redrawn"])
@pytest.mark.parametrize("cuts", [(2,), (4,), (9,), (10,), (11,), (16,), (21,), (7, 3, 6)], ids=str)
def test_cut_off_anywhere_it_ends_in_the_same_bytes(tmp_path, cuts, arm):
    whole = one(tmp_path / "whole", f"recipe.arm={arm}")
    for updates in cuts:
        cut_off(tmp_path / "cut", updates, f"recipe.arm={arm}")
    assert contents(one(tmp_path / "cut", f"recipe.arm={arm}")) == contents(whole)


def test_what_has_ended_is_not_trained_again(tmp_path, monkeypatch):
    cut_off(tmp_path, 18)
    update, steps = train.update, []

    def counted(population, *rest):
        steps.append(population.step)
        return update(population, *rest)

    monkeypatch.setattr(train, "update", counted)
    one(tmp_path)
    assert steps == [6, 7, 8, 9]  # of the second round, which began at 4


def test_replicas_of_all_stages_equal_the_same_runs_alone_and_go_on_together(tmp_path):
    options = ("dtype=float64", "recipe.arm=shuffled")
    configs = [config(tmp_path / "together", *options, f"seed={seed}") for seed in range(3)]
    for c in configs:
        cut_off(tmp_path / "together", 13, *options, f"seed={c.seed}")
    for seed, result in enumerate(run(configs, reports=False)):
        alone = one(tmp_path / "alone", *options, f"seed={seed}")
        together = Run(result.directory)
        assert together.series("train/loss")[1].tolist() == pytest.approx(alone.series("train/loss")[1], rel=1e-9)
        assert together.series("mask/density")[1].tolist() == alone.series("mask/density")[1].tolist()


def test_a_run_that_diverges_ends_there(tmp_path):
    done = one(tmp_path, "optimiser.learning_rate=1e30")
    assert done.status == "diverged"
    assert done.info["diverged_at"] <= 10


def test_a_population_that_goes_on_unchanged_goes_on_counting():
    torch.manual_seed(0)
    stages, population = Stages([]), assemble([torch.nn.Linear(2, 1)], [0])
    population, ended = stages.enter(population, 5)
    assert not ended
    stages.leave(population)
    assert stages.enter(population, 9) == (population, False)
    assert stages.recorded(0) == 0
    assert stages.is_looked_at(0)
    stages.enter(population.masked(population.kept), 9)
    assert stages.recorded(0) == 1
    assert not stages.is_looked_at(0)
