"""What each way of training on starts from, with which learning rate, and what is left in the end."""

import pytest
import torch
from omegaconf import OmegaConf

from atml_exp.compose import compose
from atml_exp.job import build_job
from atml_exp.layout import Layout
from atml_exp.masks import prunable
from atml_exp.runner import run
from atml_exp.runs import Run

SMALL = (
    "dataset=gaussian_mixture", "model.width=8", "probe=[trajectory]", "probe.trajectory.start=0it", "device=cpu",
    "progress=false", "recipe=iterative_pruning", "recipe.density=0.25", "recipe.steps=10it", "recipe.retrain=4it",
    "recipe.batch_size=16", "recipe.evaluate_every=1it", "optimiser.learning_rate=0.1", "optimiser=momentum",
)  # fmt: skip
LINEAR = (
    "+optimiser/schedule=step",
    "optimiser.schedule.step.milestones=[0.5,0.75]",
    "optimiser.schedule.step.factor=0.1",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one(*overrides):
    (result,) = run([compose([*SMALL, *overrides])], reports=False)
    return Run(result.directory)


def weights_at(done, step):
    steps, values = done.array("trajectory/weights")
    return torch.from_numpy(values[steps.tolist().index(step)])


def kept(done, step):
    layout = Layout.of(build_job(OmegaConf.create(done.config)).model)
    return torch.cat([w.flatten() != 0 for w in prunable(layout.named(weights_at(done, step))).values()])


def rates(done):
    steps, values = done.series("optimiser/learning_rate")
    return dict(zip(steps.tolist(), values.tolist(), strict=True))


def test_fine_tuning_goes_on_from_the_trained_weights_with_the_last_learning_rate():
    done = one(*LINEAR)
    trained, start = weights_at(done, 10), weights_at(done, 11)
    at = start != 0
    assert torch.equal(start[at], trained[at])
    assert kept(done, 15).double().mean() == pytest.approx(0.25, abs=0.01)
    found = rates(done)
    assert [found[s] for s in range(11, 16)] == [found[9]] * 5
    assert found[9] < found[0]


def test_rewinding_the_learning_rate_repeats_the_end_of_the_schedule_from_the_trained_weights():
    done = one(*LINEAR, "recipe.retraining=learning_rate_rewinding")
    trained, start = weights_at(done, 10), weights_at(done, 11)
    assert torch.equal(start[start != 0], trained[start != 0])
    found = rates(done)
    assert [found[s] for s in range(11, 16)] == [found[s] for s in range(6, 11)]


def test_rewinding_the_weights_too_starts_from_those_of_that_step():
    done = one("recipe.retraining=weight_rewinding")
    early, start = weights_at(done, 6), weights_at(done, 11)
    assert torch.equal(start[start != 0], early[start != 0])
    assert not torch.equal(start[start != 0], weights_at(done, 10)[start != 0])
    assert done.info["steps"] == 15


def test_without_retraining_the_pruned_net_is_measured_as_it_is():
    done = one("recipe.retraining=none")
    assert done.info["steps"] == 11
    start = weights_at(done, 11)
    assert torch.equal(start[start != 0], weights_at(done, 10)[start != 0])


@pytest.mark.parametrize("criterion", ["magnitude", "random", "snip", "grasp", "synflow", "obd"])
def test_rounds_reach_the_density_in_equal_factors_under_each_criterion(criterion):
    done = one("recipe.rounds=2", f"recipe.criterion={criterion}")
    assert sorted(set(done.series("mask/density")[1].round(2))) == [0.25, 0.5]
    assert (kept(done, 11) | ~kept(done, 16)).all()


def test_magnitude_and_random_keep_other_weights():
    assert not torch.equal(kept(one(), 11), kept(one("recipe.criterion=random"), 11))
