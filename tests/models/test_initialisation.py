import math
from typing import get_args

import pytest
import torch
from torch import nn

from atml_exp.models.initialisation import Initialisation, initialise

N, M = 300, 500  # inputs and outputs of the linear layer
C, K = 20, 60  # channels in and out of the convolution, 3×3


def linear():
    return nn.Linear(N, M)


def convolution():
    return nn.Conv2d(C, K, 3)


FANS = [(linear, N, M), (convolution, 9 * C, 9 * K)]
DEVIATIONS = {
    "pytorch": lambda n, m: math.sqrt(1 / (3 * n)),
    "he": lambda n, m: math.sqrt(2 / n),
    "xavier": lambda n, m: math.sqrt(2 / (n + m)),
    "lecun": lambda n, m: math.sqrt(1 / n),
}


@pytest.fixture
def drawn(seeded):
    def draw(constructor, scheme, scale=1.0, seed=0, bias_std=0.0):
        def make():
            layer = constructor()
            initialise(layer, scheme, scale, bias_std)
            return layer

        return seeded(make, seed)

    return draw


@pytest.mark.parametrize("scheme", DEVIATIONS)
@pytest.mark.parametrize(("constructor", "n", "m"), FANS)
def test_standard_deviation(drawn, scheme, constructor, n, m):
    """Within four standard errors: √(1/2N) of the deviation for N normal draws, less for uniform ones."""
    weight = drawn(constructor, scheme).weight.detach().double().flatten()
    expected = DEVIATIONS[scheme](n, m)
    assert weight.square().mean().sqrt().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * len(weight)))
    assert abs(weight.mean().item()) < 4 * expected / math.sqrt(len(weight))


@pytest.mark.parametrize(("scheme", "fourth"), [("pytorch", 1.8), ("he", 3), ("xavier", 3), ("lecun", 3)])
def test_shape_of_the_distribution(drawn, scheme, fourth):
    """E w⁴/(E w²)²: 9/5 for a uniform, 3 for a normal distribution (standard error √(96/N) = 0.025)."""
    weight = drawn(linear, scheme).weight.detach().double().flatten()
    assert (weight**4).mean() / weight.square().mean() ** 2 == pytest.approx(fourth, abs=0.1)


def test_pytorch_leaves_what_the_constructor_drew(drawn, seeded):
    ours, theirs = drawn(linear, "pytorch"), seeded(linear)
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)
    assert theirs.weight.abs().max() <= 1 / math.sqrt(N)


@pytest.mark.parametrize(
    "constructor", [lambda: nn.Linear(30, 50), lambda: nn.Linear(50, 30), lambda: nn.Conv2d(2, 30, 3)]
)
def test_orthogonal(drawn, float64, constructor):
    weight = drawn(constructor, "orthogonal").weight.flatten(1)
    gram = weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-12, rtol=0)
    assert weight.square().mean().item() == pytest.approx(1 / max(weight.shape), rel=1e-12)


def test_zeros(drawn):
    assert drawn(linear, "zeros").weight.count_nonzero() == 0


@pytest.mark.parametrize("scheme", get_args(Initialisation))
def test_scale_multiplies_and_biases_are_zero_but_for_pytorch(drawn, scheme):
    one, three = drawn(linear, scheme), drawn(linear, scheme, 3.0)
    assert torch.equal(three.weight, 3 * one.weight)
    assert torch.equal(three.bias, 3 * one.bias)
    assert bool(one.bias.any()) == (scheme == "pytorch")


@pytest.mark.parametrize("scheme", get_args(Initialisation))
def test_random_biases_leave_the_weights_as_they_are(drawn, scheme):
    def two():
        return nn.Sequential(nn.Linear(3, 4000), nn.Linear(4000, 2, bias=False), nn.Linear(2, 4000))

    without, random = drawn(two, scheme, 2.0), drawn(two, scheme, 2.0, bias_std=0.3)
    for one, other in zip(without, random, strict=True):
        assert torch.equal(one.weight, other.weight)
    biases = torch.cat([random[0].bias, random[2].bias]).detach().double()
    assert biases.square().mean().sqrt().item() == pytest.approx(0.3, rel=4 / math.sqrt(2 * len(biases)))
    assert (biases**4).mean() / biases.square().mean() ** 2 == pytest.approx(3, abs=0.25)  # normal
    assert not torch.equal(random[0].bias, random[2].bias)


@pytest.mark.parametrize("scheme", get_args(Initialisation))
def test_normalisation_layers_stay(drawn, scheme):
    model = drawn(lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LayerNorm(4)), scheme, 5.0)
    for norm in model[1:]:
        assert norm.weight.tolist() == [1.0] * 4
        assert norm.bias.tolist() == [0.0] * 4


@pytest.mark.parametrize("scheme", ["he", "xavier", "lecun", "orthogonal", "pytorch"])
def test_follows_the_global_seed(drawn, scheme):
    assert torch.equal(drawn(linear, scheme, seed=1).weight, drawn(linear, scheme, seed=1).weight)
    assert not torch.equal(drawn(linear, scheme, seed=1).weight, drawn(linear, scheme, seed=2).weight)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="initialisation = 'kaiming': allowed: pytorch, he, xavier, "):
        initialise(nn.Linear(1, 1), "kaiming")
