"""The contract tests find what they are there to find; and every probe under configs/ keeps the contract."""

from pathlib import Path

import pytest
import torch
from torch import nn

from atml_exp.checks import _same_picture, check_dataset, check_probe
from atml_exp.contract import check_probes_of
from atml_exp.data import Dataset, Split

PROBES = sorted(p.stem for p in (Path(__file__).parents[1] / "configs" / "probe").glob("*.yaml"))


def small_data():
    g = torch.Generator().manual_seed(0)
    return Split(torch.randn(12, 5, generator=g), torch.arange(12) % 3)


def small_model():
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))


def test_there_are_probes_to_check():
    assert {"sharpness", "fractal_dimension", "neural_collapse", "pruning", "trajectory"} <= set(PROBES)


OF_A_NET = ["optimiser=adam", "model.width=8", "model.normalisation=batch"]
STRONG = "probe.leave_one_out.fn.ridge=1e9"
"""With which zeros are the minimiser."""
OF_GROUPS = ["fairness", "group_roc", "group_roc_train", "threshold_optimiser"]
OF_OTHERS = {
    "suboptimality": ["optimiser=gd", "model=quadratic", "dataset=no_data", "loss=value"],
    "decision_boundary": ["dataset=two_moons", "model.width=8"],
    "hard_margin": ["dataset=two_moons", "model=linear"],
    "implicit_bias": [
        "dataset=gaussian_mixture",
        "dataset.num_classes=2",
        "dataset.separation=20.0",
        "model=linear",
    ],
    "algorithmic_stability": ["dataset=two_moons", "model.width=4", "recipe.steps=5", "recipe.batch_size=8"],
    "leave_one_out": ["dataset=diabetes", "model=linear", "model.initialisation=zeros", "loss=mse", STRONG],
    "optimality_gap": ["dataset=diabetes", "model=linear", "loss=mse"],
    "inclusion": ["dataset/wrapper=[random_inclusion]", "model.width=8"],
    **{name: ["dataset=binormal_groups", "model=linear"] for name in OF_GROUPS},
    "exponentiated_gradient": [
        "dataset=binormal_groups",
        "model=linear",
        "probe.exponentiated_gradient.fn.steps=2",
        "probe.exponentiated_gradient.fn.max_iterations=2",
    ],
    "label_fit": ["dataset/wrapper=[label_noise]", "model.width=8"],
    "influence": ["dataset=two_moons", "model=linear", "probe.influence.fn.l2=0.1"],
    "influence_check": ["dataset=diabetes", "model=linear", "loss=mse"],
    "influence_retraining": [
        "dataset=two_moons",
        "dataset.num_train=64",
        "model.width=4",
        "probe.influence_retraining.fn.steps=3",
        "probe.influence_retraining.fn.examples=3",
    ],
}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_probe_keeps_the_contract(name, dtype):
    check_probes_of([f"probe=[{name}]", *OF_OTHERS.get(name, OF_A_NET), f"dtype={dtype}"])


def zero_parameters(model, data):
    with torch.no_grad():
        next(model.parameters()).zero_()
    return {"x": 0.0}


def clear_gradients(model, data):
    model.zero_grad()
    return {"x": 0.0}


def train_mode(model, data):
    model.train()
    return {"x": 0.0}


def draw(model, data):
    torch.rand(1)
    return {"x": 0.0}


def update_statistics(model, data):
    model[1].running_mean += 1
    return {"x": 0.0}


def freeze(model, data):
    next(model.parameters()).requires_grad_(False)
    return {"x": 0.0}


def change_data(model, data):
    data.x.add_(1)
    return {"x": 0.0}


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (zero_parameters, "parameter 0.weight"),
        (clear_gradients, "gradient"),
        (train_mode, "mode of"),
        (draw, "random state"),
        (update_statistics, "running_mean"),
        (freeze, "requires_grad"),
        (change_data, "inputs"),
        (
            lambda m, d: {
                "x": torch.randint(0, 1000, (), generator=torch.Generator().manual_seed(torch.seed())).item()
            },
            "random state",
        ),
        (lambda m, d: 3.0, "returned a float: it must be a mapping"),
        (lambda m, d: {"x": "much"}, "'x' is a str: values are numbers or tensors"),
        (lambda m, d: {"x": float("nan")}, "x is nan: not finite"),
        (lambda m, d: {"x": torch.tensor([1.0, float("inf")])}, "x holds values that are not finite"),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_each_breach_is_found_and_named(fn, what):
    with pytest.raises(AssertionError, match=what):
        check_probe(fn, small_model(), small_data())


def test_a_probe_that_remembers_is_found():
    calls = []

    def remembers(model, data):
        calls.append(1)
        return {"x": float(len(calls))}

    with pytest.raises(AssertionError, match="asked twice"):
        check_probe(remembers, small_model(), small_data())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 2}, "outside 0 … 1"),
        ({"test": Split(torch.randn(2, 4), torch.tensor([0, 1]))}, "the same shape of each example"),
        ({"train": Split(torch.full((2, 5), float("nan")), torch.tensor([0, 1]))}, "aren't finite"),
        ({"test": Split(torch.randn(0, 5), torch.zeros(0, dtype=torch.int64))}, "test split is empty"),
        ({"num_classes": None}, "floating"),
    ],
)
def test_a_dataset_that_breaks_the_contract_is_found(change, message):
    fields = {"name": "x", "train": small_data(), "test": small_data(), "num_classes": 3, **change}
    with pytest.raises(AssertionError, match=message):
        check_dataset(Dataset(**fields))


def test_a_dataset_that_keeps_it_passes():
    check_dataset(Dataset("x", small_data(), small_data(), 3))


def test_pictures_are_the_same_up_to_the_rounding_of_positions():
    picture = '<g id="a0123456789"><path d="M 1.5 2.0000001 L -3e-05 7" style="stroke: #0072b2"/></g>'
    rounded = picture.replace("a0123456789", "afedcba9876").replace("2.0000001", "2.0")
    assert _same_picture(picture, rounded)
    for other in (picture.replace("1.5", "1.6"), picture.replace("#0072b2", "#0072b3"), picture.replace("L", "M")):
        assert not _same_picture(picture, other)
