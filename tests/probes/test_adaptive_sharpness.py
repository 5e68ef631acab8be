"""Adaptive sharpness: closed forms, and the rescaling that it must not see."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.mean_loss import MeanLoss
from atml_exp.probes.adaptive_sharpness import adaptive_rise, adaptive_sharpness
from atml_exp.probes.sam_sharpness import sam_sharpness


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3


def relu_net(alpha: float = 1.0) -> nn.Sequential:
    """(αW₁, αb₁, W₂/α): the same function for every α > 0."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[0].weight.mul_(alpha)
        model[0].bias.mul_(alpha)
        model[2].weight.div_(alpha)
    return model


@pytest.mark.parametrize("alpha", [0.01, 3.7, 100])
def test_rescaling_the_units_of_a_relu_net_changes_nothing(alpha):
    one, other = (adaptive_sharpness(relu_net(a), Split(X, Y)) for a in (1.0, alpha))
    torch.testing.assert_close(relu_net(alpha)(X), relu_net()(X))
    assert other["rise"] == pytest.approx(one["rise"], rel=1e-9)
    assert other["first_order"] == pytest.approx(one["first_order"], rel=1e-9)
    plain, changed = (sam_sharpness(relu_net(a), Split(X, Y))["rise"] for a in (1.0, alpha))
    assert abs(changed / plain - 1) > 0.5  # control: SAM's ball does see it


def test_at_a_quadratic_minimum_it_is_the_top_eigenvalue_of_tht():
    model = nn.Linear(5, 1, bias=False).double()
    t = model.weight.detach()[0].abs().diag()
    top = torch.linalg.eigvalsh(t @ X.T @ X @ t / 40)[-1].item()
    data = Split(X, model(X).detach())
    found = adaptive_sharpness(model, data, loss=half_mse, rho=0.3, tolerance=1e-12)
    assert found["rise"] == pytest.approx(0.09 * top / 2, rel=1e-7)


def test_of_a_linear_loss_it_is_rho_times_the_norm_of_tg():
    model = nn.Linear(5, 1, bias=False).double()
    found = adaptive_sharpness(model, Split(X, Y), loss=lambda o, y: o.mean(), rho=0.3)
    truth = 0.3 * (model.weight.detach()[0] * X.mean(0)).norm().item()
    assert found["rise"] == pytest.approx(truth, rel=1e-12)
    assert found["first_order"] == pytest.approx(truth, rel=1e-12)


def test_weights_of_zero_stay_and_changes_are_within_the_ellipsoid():
    model = relu_net()
    model[0].bias.data.zero_()
    loss = MeanLoss(model, nn.CrossEntropyLoss(), X, Y)
    found = adaptive_rise(loss, 0.5)
    moved = loss.w != 0
    assert (found.offset[~moved] == 0).all()
    assert (found.offset[moved] / loss.w[moved]).norm().item() <= 0.5 + 1e-12


def test_all_weights_zero_is_refused():
    model = nn.Linear(5, 3).double()
    for p in model.parameters():
        nn.init.zeros_(p)
    with pytest.raises(ValueError, match="all weights are 0"):
        adaptive_sharpness(model, Split(X, Y))


def test_probe():
    values = check_probe(adaptive_sharpness, relu_net(), Split(X, Y))
    assert values["rise"] >= values["first_order"] - 1e-12
    assert adaptive_sharpness(relu_net(), Split(X, Y), chunk_size=9)["rise"] == pytest.approx(values["rise"])
