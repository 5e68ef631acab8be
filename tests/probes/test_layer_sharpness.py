"""Blocks of the Hessian: closed forms, interlacing, and the rescaling of Dinh et al."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.layer_sharpness import layer_sharpness, layers
from atml_exp.probes.sharpness import hessian_top_eigenvalues


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3


def relu_net(alpha: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[0].weight.mul_(alpha)
        model[0].bias.mul_(alpha)
        model[2].weight.div_(alpha)
    return model


def test_of_a_linear_net_each_block_has_a_closed_form():
    """½(abx)² of two scalars in a row: ∂²/∂a² = b² E x², ∂²/∂b² = a² E x²."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    a, b = model[0].weight.item(), model[1].weight.item()
    x = X[:, :1]
    found = layer_sharpness(model, Split(x, torch.zeros(40, 1).double()), loss=half_mse)
    second = x.square().mean().item()
    assert found == pytest.approx({"0": b * b * second, "1": a * a * second})


def test_rescaling_divides_one_block_and_multiplies_the_other():
    one = layer_sharpness(relu_net(), Split(X, Y))
    model = relu_net(10.0)
    model[2].bias.requires_grad_(False)
    found = layer_sharpness(model, Split(X, Y))
    plain = relu_net()
    plain[2].bias.requires_grad_(False)
    truth = layer_sharpness(plain, Split(X, Y))
    assert found["0"] == pytest.approx(one["0"] / 100, rel=1e-6)
    assert found["2"] == pytest.approx(truth["2"] * 100, rel=1e-6)


def test_no_block_exceeds_the_whole():
    model = relu_net()
    whole = hessian_top_eigenvalues(model, nn.CrossEntropyLoss(), X, Y, 1).item()
    assert 0.1 * whole < max(layer_sharpness(model, Split(X, Y)).values()) <= whole


def test_layers():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    model = Odd()
    model.inner[0].bias.requires_grad_(False)
    names = {"self": ["scale"], "inner.0": ["inner.0.weight"], "inner.1": ["inner.1.weight", "inner.1.bias"]}
    assert layers(model) == names


def test_without_parameters_it_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        layer_sharpness(nn.Identity(), Split(X, Y))


def test_probe():
    values = check_probe(layer_sharpness, relu_net(), Split(X, Y))
    assert list(values) == ["0", "2"]
    assert layer_sharpness(relu_net(), Split(X, Y), chunk_size=9) == pytest.approx(values)
