"""The mean rise under noise against closed forms of linear and quadratic losses."""

import math

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.mean_loss import MeanLoss
from atml_exp.probes.average_sharpness import average_sharpness, mean_rise


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3
H = X.T @ X / 40


def quadratic() -> MeanLoss:
    """Not at its minimum: the gradient must cancel."""
    torch.manual_seed(0)
    return MeanLoss(nn.Linear(5, 1, bias=False).double(), half_mse, X, normal(40, 1, seed=1))


@pytest.mark.parametrize("sigma", [0.01, 2.0])
def test_of_a_quadratic_it_is_half_sigma_squared_times_the_trace(sigma):
    found = mean_rise(quadratic(), sigma, num_pairs=2000)
    assert found.rise == pytest.approx(sigma**2 * H.trace().item() / 2, abs=4 * found.standard_error)
    expected = sigma**2 * math.sqrt(H.square().sum().item() / 2 / 2000)
    assert found.standard_error == pytest.approx(expected, rel=0.1)


def test_relative_noise_sees_the_trace_of_tht():
    loss = quadratic()
    found = mean_rise(loss, 0.1, relative=True, num_pairs=2000)
    assert found.rise == pytest.approx(0.01 * (H.diag() @ loss.w**2).item() / 2, abs=4 * found.standard_error)
    assert found.standard_error < 0.05 * found.rise


def test_the_standard_error_is_honest():
    """Over 200 seeds the estimate is within 1.96 standard errors about 95 % of the time (±4σ: 88 to 100 %)."""
    truth = H.trace().item() / 2
    found = [mean_rise(quadratic(), 1.0, num_pairs=50, seed=seed) for seed in range(200)]
    assert sum(abs(f.rise - truth) <= 1.96 * f.standard_error for f in found) >= 0.88 * 200


def test_of_a_linear_loss_it_is_0_for_every_pair():
    loss = MeanLoss(nn.Linear(5, 1, bias=False).double(), lambda o, y: o.mean(), X, Y)
    found = mean_rise(loss, 3.0, num_pairs=2)
    assert abs(found.rise) < 1e-14
    assert found.standard_error < 1e-14


def test_one_pair_has_no_standard_error():
    assert math.isnan(mean_rise(quadratic(), 0.1, num_pairs=1).standard_error)
    values = average_sharpness(nn.Linear(5, 3).double(), Split(X, Y), num_pairs=1)
    assert set(values) == {"rise", "curvature"}


def test_noise_that_makes_the_loss_infinite_is_refused():
    loss = MeanLoss(nn.Linear(5, 1, bias=False).double(), lambda o, y: o.exp().mean(), X, Y)
    with pytest.raises(ValueError, match=r"isn't finite under noise of sigma = 10000\.0: choose a smaller one"):
        mean_rise(loss, 1e4)


def test_probe():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    values = check_probe(average_sharpness, model, Split(X, Y))
    assert values["curvature"] == pytest.approx(2 * values["rise"] / 0.01**2)
    assert average_sharpness(model, Split(X, Y), chunk_size=9)["rise"] == pytest.approx(values["rise"], rel=1e-9)
