"""Signals and gradients by layer against dense autograd, chains of matrices, and mean-field theory."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.mean_field_limit import jacobian_variance, propagate
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes.signal_propagation import jacobian_singular_values, signal_propagation

G = torch.Generator().manual_seed(7)
X = torch.randn(12, 6, generator=G, dtype=torch.float64)
DATA = Split(X, torch.arange(12) % 3)


def net(**options):
    torch.manual_seed(3)
    return mlp((6,), 3, **{"width": 5, "depth": 3, "activation": "tanh", **options}).double()


def by_hand(model, x):
    """The preactivations of an MLP, its outputs last."""
    found, h = [], x
    for layer in model.hidden:
        found.append(layer.linear(h))
        h = layer.activation(found[-1])
    return [*found, model.output(h)]


def test_variances_and_correlations_are_their_definitions():
    model = net()
    found = signal_propagation(model, DATA, num_examples=9)
    cosines = nn.CosineSimilarity(dim=-1)
    for layer, h in enumerate(by_hand(model, X[:9])):
        pairs = torch.stack([cosines(h[a], h[b]) for a in range(9) for b in range(9) if a != b])
        assert found["variance"][layer].item() == pytest.approx(h.square().mean().item(), rel=1e-12)
        assert found["correlation"][layer].item() == pytest.approx(pairs.mean().item(), rel=1e-10)
    assert found["input_variance"] == pytest.approx(X[:9].square().mean().item(), rel=1e-12)
    assert len(found["variance"]) == len(found["correlation"]) == 4


@pytest.mark.parametrize(("loss", "y"), [(cross_entropy, DATA.y), (mse, torch.randn(12, 3, generator=G).double())])
def test_gradients_are_those_of_autograd_example_by_example(loss, y):
    model = net()
    found = signal_propagation(model, Split(X, y), loss=loss)
    loss(model(X), y).backward()
    linear = [*(layer.linear for layer in model.hidden), model.output]
    weights = [layer.weight.grad.square().mean().item() for layer in linear]
    assert found["weight_gradient"].tolist() == pytest.approx(weights, rel=1e-10)
    squares = torch.zeros(4, dtype=torch.float64)
    for one, target in zip(X.split(1), y.split(1), strict=True):
        preactivations = by_hand(model, one)
        grads = torch.autograd.grad(loss(preactivations[-1], target), preactivations)
        squares += torch.stack([g.square().mean() for g in grads])
    assert found["preactivation_gradient"].tolist() == pytest.approx((squares / 12).tolist(), rel=1e-10)


@pytest.mark.parametrize("chunk_size", [1, 5, 12])
def test_chunks_add_up(chunk_size):
    whole, parts = (signal_propagation(net(), DATA, chunk_size=size) for size in (None, chunk_size))
    for key, value in whole.items():
        torch.testing.assert_close(torch.as_tensor(parts[key]), torch.as_tensor(value), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_singular_values_are_those_of_the_dense_jacobian(activation):
    model = net(activation=activation)
    for index, values in enumerate(jacobian_singular_values(model, X[:3])):
        dense = torch.autograd.functional.jacobian(model, X[index : index + 1])[0, :, 0]
        torch.testing.assert_close(values, torch.linalg.svdvals(dense), rtol=1e-9, atol=1e-12)


def test_of_a_linear_chain_it_is_the_product_of_the_matrices():
    model = net(activation="identity", depth=4)
    w = [layer.linear.weight for layer in model.hidden] + [model.output.weight]
    expected = torch.linalg.svdvals(w[4] @ w[3] @ w[2] @ w[1] @ w[0]).detach()
    torch.testing.assert_close(
        jacobian_singular_values(model, X[:2]), expected.expand(2, -1), rtol=1e-9, atol=1e-12
    )
    hidden = torch.linalg.svdvals(w[3] @ w[2] @ w[1]).detach()
    found = jacobian_singular_values(model, X[:1], "hidden")
    torch.testing.assert_close(found, hidden[None], rtol=1e-9, atol=1e-12)


def test_the_summary_of_the_singular_values():
    found = signal_propagation(net(), DATA, jacobian_examples=4, jacobian="hidden")
    squares = found["singular_values"] ** 2
    assert squares.shape == (4, 5)
    assert found["jacobian_mean_square"] == pytest.approx(squares.mean().item())
    relative = squares.var(1, correction=0) / squares.mean(1) ** 2
    assert found["jacobian_variance"] == pytest.approx(relative.mean().item())
    assert found["jacobian_largest"] == pytest.approx(found["singular_values"].amax(1).mean().item())
    assert found["jacobian_smallest"] == pytest.approx(found["singular_values"].amin(1).mean().item())


def test_orthogonal_linear_nets_are_isometric_and_orthogonal_relu_nets_are_not():
    linear, relu = (
        signal_propagation(
            net(activation=a, initialisation="orthogonal", depth=6, width=40), DATA, jacobian="hidden"
        )
        for a in ("identity", "relu")
    )
    assert linear["singular_values"].sub(1).abs().max() < 1e-5  # drawn in float32
    assert linear["jacobian_variance"] < 1e-10
    assert relu["jacobian_variance"] > 1


@pytest.mark.parametrize(("activation", "bias_std"), [("relu", 0.0), ("tanh", 0.3), ("sigmoid", 0.0)])
def test_wide_nets_follow_mean_field_theory_in_standard_errors(activation, bias_std):
    """q_l, c_l, and the gradients' quotient from layer to layer, of 12 nets of 300 units and 4 hidden layers."""
    probe = partial(signal_propagation, jacobian_examples=0)
    x = torch.randn(2, 50, generator=G)
    split = Split(x / x.norm(dim=1, keepdim=True) * 7, torch.tensor([0, 1]))
    found = []
    for seed in range(12):
        torch.manual_seed(seed)
        model = mlp(
            (50,),
            5,
            depth=4,
            width=300,
            activation=activation,
            initialisation="lecun",
            initial_scale=2**0.5,
            initial_bias_std=bias_std,
        )
        found.append(probe(model, split))
    exact = propagate(activation, 2.0, bias_std**2, 4, found[0]["input_variance"], found[0]["input_correlation"])
    gradients = torch.stack([f["preactivation_gradient"][:4] for f in found])
    for measured, theory in (
        (torch.stack([f["variance"][:4] for f in found]), exact.q),
        (torch.stack([f["correlation"][:4] for f in found]), exact.c),
        (gradients[:, :-1] / gradients[:, 1:], exact.chi[:3]),
    ):
        error = measured.std(0) / math.sqrt(len(found))
        assert ((measured.mean(0) - torch.tensor(theory)).abs() <= 4 * error + 1e-3 * torch.tensor(theory)).all()


@pytest.mark.parametrize(("activation", "scale"), [("relu", 2**0.5), ("tanh", 1.0)])
@pytest.mark.parametrize("initialisation", ["orthogonal", "lecun"])
def test_the_spread_of_singular_values_of_wide_nets_is_theorys(activation, scale, initialisation):
    torch.manual_seed(1)
    model = mlp(
        (300,), 5, depth=4, width=300, activation=activation, initialisation=initialisation, initial_scale=scale
    )
    data = Split(torch.randn(2, 300, generator=G), torch.tensor([0, 1]))
    found = signal_propagation(model, data, jacobian="hidden")
    q = propagate(activation, scale**2, 0.0, 4, found["input_variance"]).q
    expected = sum(jacobian_variance(activation, v, orthogonal=initialisation == "orthogonal") for v in q[:3])
    assert found["jacobian_variance"] == pytest.approx(expected, rel=0.15)


def test_convolutions_and_activations_in_place_and_a_layer_of_its_own():
    images = Split(torch.randn(5, 1, 6, 6, generator=G), torch.arange(5) % 3)
    assert check_probe(signal_propagation, cnn((1, 6, 6), 3, width=4), images)["variance"].isfinite().all()
    for inplace in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=inplace), nn.Linear(4, 3))
        found = signal_propagation(model, Split(X.float(), DATA.y))
        assert found["variance"][0].item() == pytest.approx(model[0](X.float()).square().mean().item(), rel=1e-5)
    assert len(signal_propagation(nn.Linear(6, 3), DATA)["variance"]) == 1


def test_nets_that_are_dead_say_so():
    model = net(activation="relu", bias=False)
    with torch.no_grad():
        model.hidden[0].linear.weight.zero_()
    found = signal_propagation(model, DATA)
    assert found["variance"].tolist() == [0] * 4
    assert found["correlation"].isnan().all()
    assert "jacobian_variance" not in found


def test_the_probe_keeps_the_contract():
    check_probe(signal_propagation, net(normalisation="batch"), DATA)
    check_probe(partial(signal_propagation, jacobian="hidden", chunk_size=5), net(activation="relu").float(), DATA)


@pytest.mark.parametrize(
    ("model", "data", "options", "words"),
    [
        (net(), DATA, {"num_examples": 1}, "there are 1 examples, and 2 are needed"),
        (net(), DATA, {"loss": lambda o, y: o.square().sum()}, "it must be a mean over examples"),
        (net(depth=1), DATA, {"jacobian": "hidden"}, "2 layers are fewer than 3"),
        (nn.Flatten(), DATA, {}, "no linear or convolutional layer"),
    ],
)
def test_refusals(model, data, options, words):
    with pytest.raises(ValueError, match=words):
        signal_propagation(model, data, **options)
