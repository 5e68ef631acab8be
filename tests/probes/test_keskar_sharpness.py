"""ε-sharpness against closed forms: linear losses, and quadratics whose maximum is at a known corner."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.mean_loss import MeanLoss
from atml_exp.probes.keskar_sharpness import keskar_sharpness, rise_in_box


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(5, 1, bias=False).double()


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_of_a_linear_loss_it_is_exact(epsilon):
    """max − f = Σ|g_i| ε(|w_i| + 1), and f = ⟨g, w⟩ + 2."""
    model, g = linear(), X.mean(0)
    w = model.weight.detach()[0]
    found = keskar_sharpness(model, Split(X, Y), loss=lambda o, y: o.mean() + 2, epsilon=epsilon)
    rise = (g.abs() * epsilon * (w.abs() + 1)).sum().item()
    assert found["rise"] == pytest.approx(rise, rel=1e-9)
    assert found["sharpness"] == pytest.approx(100 * rise / (3 + (g @ w).item()), rel=1e-9)


def test_of_a_convex_loss_it_is_at_the_highest_corner():
    """The maximum of a convex function is at one of 2⁵ corners; more starts find it."""
    model = linear()
    loss = MeanLoss(model, half_mse, X, model(X).detach())
    reach = 0.1 * (loss.w.abs() + 1)
    corners = [torch.tensor(signs).double() * reach for signs in itertools.product((-1, 1), repeat=5)]
    truth = max(loss(loss.w + corner) for corner in corners)
    assert rise_in_box(loss, 0.1, num_restarts=20).rise == pytest.approx(truth, rel=1e-12)
    assert 0 < rise_in_box(loss, 0.1, num_restarts=1).rise <= truth + 1e-15


def test_the_box_is_larger_for_larger_weights():
    loss = MeanLoss(linear(), lambda o, y: o.mean(), X, Y)
    found = rise_in_box(loss, 0.01)
    torch.testing.assert_close(found.offset.abs(), 0.01 * (loss.w.abs() + 1))


def test_a_loss_at_or_below_minus_one_is_refused():
    with pytest.raises(ValueError, match=r"the loss is -5: the ratio to 1 \+ loss needs a loss above −1"):
        keskar_sharpness(linear(), Split(X, Y), loss=lambda o, y: 0 * o.mean() - 5)


def test_probe():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    values = check_probe(keskar_sharpness, model, Split(X, Y))
    assert values["sharpness"] > 0
    wider = keskar_sharpness(model, Split(X, Y), epsilon=1e-2)
    assert wider["sharpness"] > values["sharpness"]
    assert keskar_sharpness(model, Split(X, Y), chunk_size=9)["rise"] == pytest.approx(values["rise"])
