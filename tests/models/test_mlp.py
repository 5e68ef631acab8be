import pytest
import torch
from torch import nn

from atml_exp.models.mlp import mlp


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("depth", "width", "inputs", "k"), [(1, 7, 5, 3), (2, 16, 64, 10), (5, 3, 4, 1)])
def test_number_of_parameters(depth, width, inputs, k):
    hidden = inputs * width + (depth - 1) * width**2
    assert count(mlp((inputs,), k, depth=depth, width=width, bias=False)) == hidden + width * k
    assert count(mlp((inputs,), k, depth=depth, width=width)) == hidden + width * k + depth * width + k
    normalised = count(mlp((inputs,), k, depth=depth, width=width, normalisation="layer", bias=False))
    assert normalised == hidden + width * k + 2 * depth * width


def test_parameter_names():
    assert [n for n, _ in mlp((4,), 2, depth=2).named_parameters()] == [
        "hidden.0.linear.weight",
        "hidden.0.linear.bias",
        "hidden.1.linear.weight",
        "hidden.1.linear.bias",
        "output.weight",
        "output.bias",
    ]


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 4, 4)])
def test_is_the_formula(float64, shape):
    """W₂ tanh(W₁ tanh(W₀x + b₀) + b₁) + b₂ on the flattened input."""
    model, x = mlp(shape, 3, width=7, activation="tanh"), torch.randn(6, *shape)
    w0, b0, w1, b1, w2, b2 = model.parameters()
    h = torch.tanh(torch.tanh(x.reshape(6, -1) @ w0.T + b0) @ w1.T + b1)
    torch.testing.assert_close(model(x), h @ w2.T + b2)


def test_the_last_linear_layer_is_the_output():
    layers = [m for m in mlp((4,), 2, normalisation="batch").modules() if isinstance(m, nn.Linear)]
    assert layers[-1].out_features == 2


@pytest.mark.parametrize(("normalisation", "over"), [("batch", 0), ("layer", 1)])
def test_normalisation_comes_before_the_activation(float64, normalisation, over):
    """With the identity as activation the features of a training pass have mean 0 and variance 1 (less ε)."""
    model = mlp((5,), 3, depth=1, width=40, activation="identity", normalisation=normalisation, initial_scale=50.0)
    features = model.hidden(torch.randn(30, 5))
    mean, variance = features.mean(over), features.var(over, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean))
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-4, rtol=0)
    positive = mlp((5,), 3, depth=1, activation="relu", normalisation=normalisation).hidden(torch.randn(30, 5))
    assert positive.min() == 0  # no normalisation after it


@pytest.mark.parametrize("normalisation", ["batch", "layer"])
def test_with_normalisation_the_scale_of_the_hidden_weights_does_not_matter(float64, seeded, normalisation):
    def make(scale):
        return mlp((5,), 3, normalisation=normalisation, initialisation="he", initial_scale=scale)

    x = torch.randn(30, 5)
    one, hundred = seeded(lambda: make(10.0)).hidden(x), seeded(lambda: make(1000.0)).hidden(x)
    torch.testing.assert_close(one, hundred, rtol=1e-4, atol=1e-4)  # up to ε = 1e-5 in the variance


@pytest.mark.parametrize("depth", [1, 3])
def test_a_relu_net_without_biases_is_homogeneous_of_degree_depth_plus_one(float64, seeded, depth):
    x = torch.randn(4, 5)
    one = seeded(lambda: mlp((5,), 2, depth=depth, bias=False))
    two = seeded(lambda: mlp((5,), 2, depth=depth, bias=False, initial_scale=2.0))
    torch.testing.assert_close(two(x), 2 ** (depth + 1) * one(x))


def test_without_activation_it_is_linear(float64):
    model = mlp((5,), 2, depth=3, activation="identity", bias=False)
    x, z = torch.randn(4, 5), torch.randn(4, 5)
    torch.testing.assert_close(model(2 * x - z), 2 * model(x) - model(z))


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_with_skip_zero_hidden_weights_are_the_identity(float64, activation, normalisation):
    """All hidden layers but the first pass their input on; without skip they pass 0."""
    x = torch.randn(9, 5)
    for skip in (True, False):
        model = mlp((5,), 2, depth=4, width=6, activation=activation, normalisation=normalisation, skip=skip)
        for layer in model.hidden[1:]:
            nn.init.zeros_(layer.linear.weight)
            nn.init.zeros_(layer.linear.bias)
        first = model.hidden[0](x)
        assert first.abs().max() > 0
        torch.testing.assert_close(model(x), model.output(first if skip else torch.zeros_like(first)))


def test_the_first_layer_never_skips(float64, seeded):
    """Even where the input has as many entries as the layer has units."""
    with_skip, without = (seeded(lambda s=s: mlp((6,), 2, depth=1, width=6, skip=s)) for s in (True, False))
    x = torch.randn(4, 6)
    assert torch.equal(with_skip(x), without(x))


def test_skip_adds_no_parameter():
    assert count(mlp((5,), 2, depth=3, skip=True)) == count(mlp((5,), 2, depth=3))
