"""Random labels are learnt by heart first; then training is as ordinary training from those weights would be."""

import pytest

from atml_exp.compose import compose
from atml_exp.observer import Observer
from atml_exp.runner import run
from atml_exp.runs import Run

SMALL = (
    "dataset=gaussian_mixture", "dataset.num_train=40", "model=mlp", "model.width=64", "loss=cross_entropy",
    "optimiser=sgd", "optimiser.learning_rate=0.3", "probe=[]", "device=cpu", "progress=false",
)  # fmt: skip
RECIPE = ("recipe=adversarial_initialisation", "recipe.batch_size=8")


def errors(*overrides: str) -> tuple[list[float], list[float], Run]:
    (result,) = run([compose([*SMALL, *overrides])], reports=False)
    found = Run(result.directory)
    return found.series("train/error")[1].tolist(), found.series("train/loss")[1].tolist(), found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_true_labels_are_fitted_only_when_they_are_trained_on():
    error, _, found = errors(*RECIPE, "recipe.pretrain=200ep", "recipe.steps=300ep", "recipe.evaluate_every=100ep")
    assert min(error[1:3]) > 0.3  # of a mixture of classes that plain training fits within a few epochs
    assert error[3] < 0.05
    assert "the first 200 epochs with labels in a random order" in found.info["system"]["algorithm"]


def test_without_random_labels_it_is_ordinary_training():
    ours = errors(*RECIPE, "recipe.pretrain=0", "recipe.steps=5ep")[1]
    theirs = errors("recipe=train", "recipe.batch_size=8", "recipe.steps=5ep")[1]
    assert ours == theirs


def test_replicas_end_as_they_do_alone():
    options = (*RECIPE, "recipe.pretrain=3ep", "recipe.steps=6ep")
    configs = [compose([*SMALL, *options, f"seed={seed}", "output_dir=together"]) for seed in (0, 1)]
    for seed, result in enumerate(run(configs, reports=False)):
        alone = errors(*options, f"seed={seed}")[1]
        assert Run(result.directory).series("train/loss")[1].tolist() == pytest.approx(alone, rel=1e-4)


def test_an_interrupted_run_goes_on_in_the_stage_that_it_was_in(monkeypatch):
    """Cut off in the first stage, the second one begins where it would have."""
    options = (*RECIPE, "recipe.pretrain=4ep", "recipe.steps=8ep", "checkpoint.interval=0")
    whole = errors(*options, "output_dir=whole")[1]
    tick, calls = Observer.tick, []

    def cut(self, population):
        tick(self, population)
        calls.append(population.step)
        if len(calls) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(Observer, "tick", cut)
    with pytest.raises(KeyboardInterrupt):
        errors(*options)
    monkeypatch.setattr(Observer, "tick", tick)
    assert errors(*options)[1] == whole
