"""Curvature along directions of losses whose Hessian is known."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.linalg import Hessian
from atml_exp.probes.directional_curvature import curvature_along, directional_curvature


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), normal(40, 1, seed=1)
H = X.T @ X / 40


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(5, 1, bias=False).double()


def test_rayleigh_quotients_whatever_the_length():
    rows = normal(6, 5, seed=2)
    truth = (rows @ H * rows).sum(1) / rows.square().sum(1)
    hessian = Hessian(linear(), half_mse, X, Y)
    torch.testing.assert_close(curvature_along(hessian, rows), truth)
    torch.testing.assert_close(curvature_along(hessian, -100 * rows), truth)
    torch.testing.assert_close(curvature_along(hessian, torch.linalg.eigh(H)[1].T), torch.linalg.eigvalsh(H))


def test_gradient_and_weights():
    model = linear()
    w = model.weight.detach()[0]
    g = H @ w - X.T @ Y[:, 0] / 40
    found = directional_curvature(model, Split(X, Y), loss=half_mse)
    assert found["gradient"] == pytest.approx((g @ H @ g / (g @ g)).item())
    assert found["weights"] == pytest.approx((w @ H @ w / (w @ w)).item())


def test_random_directions_give_the_mean_eigenvalue():
    found = directional_curvature(linear(), Split(X, Y), loss=half_mse, num_random=3000)
    assert found["random"] == pytest.approx(H.trace().item() / 5, abs=4 * found["random_standard_error"])
    assert found["random_standard_error"] < 0.02 * found["random"]
    assert "random_standard_error" not in directional_curvature(linear(), Split(X, Y), loss=half_mse, num_random=1)


def test_directions_that_are_0_are_left_out_or_refused():
    model = linear()
    nn.init.zeros_(model.weight)
    found = directional_curvature(model, Split(X, torch.zeros(40, 1)), loss=half_mse)
    assert set(found) == {"random", "random_standard_error"}
    with pytest.raises(ValueError, match="must be finite and not 0"):
        curvature_along(Hessian(model, half_mse, X, Y), torch.zeros(1, 5))


def test_probe():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    data = Split(X, torch.arange(40) % 3)
    values = check_probe(directional_curvature, model, data)
    assert directional_curvature(model, data, chunk_size=9)["gradient"] == pytest.approx(values["gradient"])
