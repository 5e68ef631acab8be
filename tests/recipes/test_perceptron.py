"""Novikoff's bound in runs, what is said of data that no hyperplane separates, and runs together and alone."""

import logging

import pytest

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.runner import run
from atml_exp.runs import Run

BASE = (
    "recipe=perceptron",
    "recipe.steps=20ep",
    "optimiser=perceptron",
    "loss=perceptron",
    "model=linear",
    "dataset=gaussian_mixture",
    "dataset.num_classes=2",
    "dataset.num_train=60",
    "dataset.num_test=50",
    "probe=[mistakes,hard_margin]",
    "device=cpu",
    "progress=false",
    "dtype=float64",
)
APART, MIXED = "dataset.separation=8", "dataset.separation=1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def final(*overrides):
    (result,) = run([compose([*BASE, *overrides])], reports=False)
    assert Run(result.directory).info["probe_failures"] == {}
    return Run(result.directory).final


@pytest.mark.parametrize("bias", ["true", "false"])
def test_mistakes_stay_below_novikoffs_bound(bias, caplog):
    with caplog.at_level(logging.WARNING, "atml_exp"):
        found = final(APART, f"model.bias={bias}")
    assert found["train/error"] == 0
    assert found["hard_margin/separable"] == 1
    assert 1 <= found["mistakes/total"] <= found["hard_margin/mistake_bound"]
    assert 0 < found["hard_margin/margin"] <= found["hard_margin/maximum"]
    assert caplog.text == ""


def test_non_separable_data_are_said_and_mistakes_go_on(caplog):
    with caplog.at_level(logging.WARNING, "atml_exp"):
        found = final(MIXED)
    before, after = (record.getMessage() for record in caplog.records)
    assert "can't be separated by a hyperplane: the perceptron never stops making mistakes" in before
    assert "still misses up to" in after
    assert found["hard_margin/separable"] == 0
    assert found["mistakes/total"] > 20
    assert found["mistakes/rate"] > 0.1


def test_too_few_steps_are_not_the_datas_fault(caplog):
    with caplog.at_level(logging.WARNING, "atml_exp"):
        final("dataset.separation=4.5", "recipe.steps=1it")
    assert "which are separable: it needs more steps" in caplog.text
    assert "hyperplane" not in caplog.text


def test_it_starts_from_zero_and_random_features_are_separated(caplog):
    one, other = (final(APART, f"model.initialisation={i}") for i in ("he", "zeros"))
    assert one == other
    few = ("dataset.num_train=15", "recipe.steps=1ep")
    assert final(MIXED, *few)["hard_margin/separable"] == 0
    caplog.clear()
    wide = ("model=random_features", "model.width=400", "model.feature_bias=true", "model.initialisation=pytorch")
    with caplog.at_level(logging.WARNING, "atml_exp"):
        assert final(MIXED, *few, *wide)["hard_margin/separable"] == 1
    assert "hyperplane" not in caplog.text


def test_runs_of_one_population_are_those_alone():
    configs = [[*BASE, APART, f"seed={s}", f"optimiser.learning_rate={r}"] for s, r in ((0, 1), (1, 0.5))]
    alone = [run([compose([*c, "output_dir=alone"])], reports=False)[0].final for c in configs]
    together = run([compose([*c, "output_dir=together"]) for c in configs], reports=False)
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(dict(other.final), rel=1e-9)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimiser=sgd"], "needs optimiser=perceptron"),
        (["loss=hinge"], "loss = hinge: recipe=perceptron needs loss=perceptron"),
        (["model=mlp", "model.width=3", "probe=[]"], "isn't linear in its weights.*allowed: model=linear"),
    ],
)
def test_what_is_not_a_perceptron_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words):
        run([compose([*BASE, *overrides])], reports=False)
