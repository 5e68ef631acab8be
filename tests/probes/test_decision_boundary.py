"""Scores on the grid are the model's, and one grid serves runs with other training examples."""

from dataclasses import replace

import pytest
import torch

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.decision_boundary import decision_boundary

G = torch.Generator().manual_seed(0)


def points(n, d=2):
    x = torch.randn(n, d, generator=G, dtype=torch.float64)
    return Split(x, (x[:, 0] > 0).long())


DATA = Dataset("points", points(20), points(30), 2)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_scores_are_the_models_at_the_grids_points(outputs):
    model = mlp((2,), outputs, width=5).double()
    found = check_probe(decision_boundary, model, DATA)
    j, i = 7, 61
    at = torch.stack([found["first"][i], found["second"][j]])[None]
    o = model(at)[0].detach()
    assert found["scores"][j, i].item() == pytest.approx((o[0] if outputs == 1 else o[1] - o[0]).item(), rel=1e-9)
    assert found["scores"].shape == (80, 80)
    assert torch.equal(found["inputs"], DATA.train.x)
    assert torch.equal(found["labels"], DATA.train.y)


def test_the_grid_goes_with_the_test_inputs_alone():
    model = linear((2,), 1).double()
    found = decision_boundary(model, DATA, points=5, room=0.5)
    low, high = DATA.test.x[:, 0].min(), DATA.test.x[:, 0].max()
    torch.testing.assert_close(
        found["first"][[0, -1]], torch.stack([1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low])
    )
    other = decision_boundary(model, replace(DATA, train=points(9)), points=5, room=0.5)
    assert torch.equal(other["scores"], found["scores"])


def test_refusals():
    with pytest.raises(ValueError, match=r"inputs are \(3,\)"):
        decision_boundary(linear((3,), 1), Dataset("more", points(5, 3), points(5, 3), 2))
    with pytest.raises(ValueError, match="points is 1"):
        decision_boundary(linear((2,), 1).double(), DATA, points=1)
