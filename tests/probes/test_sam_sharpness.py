"""SAM's sharpness against closed forms and a search of the whole ball."""

import math

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.mean_loss import MeanLoss
from atml_exp.probes.sam_sharpness import rise_in_ball, sam_sharpness
from atml_exp.probes.sharpness import hessian_top_eigenvalues


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def at_the_minimum() -> tuple[nn.Linear, Split]:
    model = nn.Linear(5, 1, bias=False).double()
    return model, Split(X, model(X).detach())


@pytest.mark.parametrize("rho", [0.01, 0.5])
def test_at_a_quadratic_minimum_it_is_half_rho_squared_times_the_top_eigenvalue(rho):
    model, data = at_the_minimum()
    top = torch.linalg.eigvalsh(X.T @ X / 40)[-1].item()
    found = sam_sharpness(model, data, loss=half_mse, rho=rho, tolerance=1e-12, num_iterations=1000)
    assert found["rise"] == pytest.approx(rho**2 * top / 2, rel=1e-8)
    assert found["first_order"] == 0  # there is no gradient
    default = sam_sharpness(model, data, loss=half_mse, rho=rho)["rise"]
    assert default <= found["rise"]
    assert default == pytest.approx(found["rise"], rel=1e-4)


def test_of_a_linear_loss_it_is_rho_times_the_norm_of_the_gradient():
    model = nn.Linear(5, 1, bias=False).double()
    found = sam_sharpness(model, Split(X, Y), loss=lambda o, y: o.mean(), rho=0.3)
    assert found["rise"] == pytest.approx(0.3 * X.mean(0).norm().item(), rel=1e-12)
    assert found["first_order"] == pytest.approx(found["rise"], rel=1e-12)


def test_in_one_dimension_it_is_the_higher_end():
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(0.2)
    data = Split(torch.ones(1, 1).double(), torch.zeros(1).double())
    found = sam_sharpness(model, data, loss=lambda o, y: (3 * o).sin().sum(), rho=0.4)
    angles = 3 * torch.linspace(-0.2, 0.6, 100_001, dtype=torch.float64)
    assert found["rise"] == pytest.approx(angles.sin().max().item() - math.sin(0.6), rel=1e-4)


def test_of_a_net_no_random_point_of_the_ball_is_higher_and_the_first_step_is_lower():
    loss = MeanLoss(net(), nn.CrossEntropyLoss(), X, Y)
    found = rise_in_ball(loss, 0.5)
    directions = normal(2000, len(loss.w), seed=3)
    others = [loss(loss.w + 0.5 * d / d.norm()) - found.base for d in directions]
    assert max(others) < found.rise
    assert found.first <= found.rise + 1e-12
    assert found.offset.norm().item() <= 0.5 + 1e-12


def test_small_balls_see_gradient_and_curvature():
    """L(w + ε) − L(w) = ρ‖g‖ + ½ρ² ĝᵀHĝ + O(ρ³) at the best point."""
    model = net()
    loss = MeanLoss(model, nn.CrossEntropyLoss(), X, Y)
    slope = loss.with_gradient(loss.w)[1].norm().item()
    top = hessian_top_eigenvalues(model, nn.CrossEntropyLoss(), X, Y, 1).item()
    found = rise_in_ball(loss, 1e-3, tolerance=1e-12)
    assert 0 < found.rise - 1e-3 * slope < 1e-6 * top


def test_float32_models_give_the_same():
    double = sam_sharpness(net(), Split(X, Y))
    single = sam_sharpness(net().float(), Split(X.float(), Y))
    assert single["rise"] == pytest.approx(double["rise"], rel=1e-5)


def test_probe():
    values = check_probe(sam_sharpness, net(), Split(X, Y))
    chunked = sam_sharpness(net(), Split(X, Y), chunk_size=7)
    assert chunked["rise"] == pytest.approx(values["rise"], rel=1e-9)


def test_probe_measures_in_eval_mode():
    model = nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, 3)).double()
    found = sam_sharpness(model, Split(X, Y))
    assert model[1].training
    assert found == sam_sharpness(model.eval(), Split(X, Y))
