"""The gap by hand, at the minimum, along descent in a run, and what has no known minimum."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from atml_exp.checks import check_probe
from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.hinge import hinge
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.optimality_gap import optimality_gap
from atml_exp.recipes.least_squares import solve
from atml_exp.runner import run
from atml_exp.runs import Run

G = torch.Generator().manual_seed(0)
X = torch.randn(60, 3, generator=G, dtype=torch.float64)
TARGETS = torch.randn(60, generator=G, dtype=torch.float64)
LABELS = torch.randint(0, 2, (60,), generator=G)


def test_by_hand_on_one_weight():
    """f = ½(w − 1)² + ½w² has its minimum ¼ at ½, L = μ = 2."""
    model = linear((1,), 1, bias=False).double()
    model.output.weight.data.fill_(2.0)
    found = optimality_gap(model, Split(torch.ones(1, 1).double(), torch.ones(1).double()), l2=1.0)
    expected = {
        "gap": 2.25,
        "minimum": 0.25,
        "certificate": 0,
        "distance": 1.5,
        "smoothness": 2,
        "strong_convexity": 2,
    }
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "y", "penalties"),
    [
        (mse, TARGETS, {}),
        (mse, TARGETS, {"l1": 0.05}),
        (logistic, LABELS, {"l2": 0.1}),
        (logistic, LABELS, {}),
        (hinge, LABELS, {"l2": 0.1}),
    ],
)
def test_it_keeps_the_contract_and_is_what_the_loss_says(loss, y, penalties):
    model = linear((3,), 1).double()
    found = check_probe(partial(optimality_gap, loss=loss, **penalties), model, Split(X, y))
    w = torch.cat([p.detach().flatten() for p in model.parameters()])
    value = (
        loss(model(X), y) + penalties.get("l2", 0) / 2 * w.square().sum() + penalties.get("l1", 0) * w.abs().sum()
    )
    assert found["gap"] == pytest.approx(float(value.detach()) - found["minimum"], abs=1e-12)
    assert found["gap"] > 0
    assert found["distance"] > 0


def test_the_closed_form_has_no_gap_with_a_bias_and_several_outputs():
    y = torch.randint(0, 3, (60,), generator=G)
    model = linear((3,), 3).double()
    w = solve(torch.cat([X, torch.ones(60, 1)], 1), torch.eye(3, dtype=torch.float64)[y], 0.2)
    model.output.weight.data, model.output.bias.data = w[:3].T.clone(), w[3].clone()
    found = optimality_gap(model, Split(X, y), loss=mse, l2=0.2)
    assert abs(found["gap"]) < 1e-14
    assert found["distance"] < 1e-12


def test_in_a_run_the_penalties_are_the_optimisers_and_the_gap_falls_to_rounding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose(
        [
            "dataset=linear_regression",
            "dataset.dimension=5",
            "dataset.noise_std=0.5",
            "dataset.num_train=50",
            "loss=mse",
            "model=linear",
            "optimiser=proximal_gd",
            "optimiser.l1=0.1",
            "optimiser.learning_rate=0.3",
            "recipe.steps=400it",
            "recipe.evaluate_every=end",
            "probe=[optimality_gap]",
            "device=cpu",
            "progress=false",
            "dtype=float64",
        ]
    )
    (result,) = run([config], reports=False)
    gaps = Run(result.directory).series("optimality_gap/gap")[1]
    assert all(b <= a + 1e-15 for a, b in pairwise(gaps))
    assert abs(gaps[-1]) < 1e-13 < gaps[0]


def test_refusals():
    with pytest.raises(ValueError, match=r"cross_entropy.*its minimum isn't known"):
        optimality_gap(linear((3,), 2).double(), Split(X, LABELS), loss=cross_entropy)
    with pytest.raises(ValueError, match="isn't linear in its weights"):
        optimality_gap(mlp((3,), 1, width=3).double(), Split(X, TARGETS))
    with pytest.raises(ValueError, match="no minimiser"):
        optimality_gap(linear((3,), 1).double(), Split(X, (X[:, 0] > 0).long()), loss=logistic)
