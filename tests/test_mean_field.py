"""One step of mean-field theory against closed forms, autograd, and a random layer."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from atml_exp.mean_field import ACTIVATIONS, mean_field_map
from atml_exp.models.activations import Activation, activation_module

NAMES = get_args(Activation)


@pytest.mark.parametrize("q", [1e-3, 0.7, 1.0, 50.0])
def test_closed_forms(q):
    """Cho & Saul (2009) for ReLU; Williams (1997) for erf-like functions; moments of a Gaussian."""
    assert mean_field_map("identity", 1.5, 0.1, q) == pytest.approx((1.5 * q + 0.1, 1.5), rel=1e-12)
    assert mean_field_map("relu", 2.0, 0.3, q) == pytest.approx((q + 0.3, 1.0), rel=1e-12)
    a = 0.01
    expected = (1.5 * q * (1 + a**2) / 2, 1.5 * (1 + a**2) / 2)
    assert mean_field_map("leaky_relu", 1.5, 0.0, q) == pytest.approx(expected, rel=1e-12)
    williams = (2 / math.pi) * math.asin(2 * q / (1 + 2 * q)), (4 / math.pi) / math.sqrt(1 + 4 * q)
    assert mean_field_map(torch.erf, 1.0, 0.0, q) == pytest.approx(williams, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_the_models_with_the_same_functions(name):
    x = torch.linspace(-8, 8, 1000, dtype=torch.float64, requires_grad=True)  # without 0, where kinks are
    values = activation_module(name)(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    function, slope = ACTIVATIONS[name]
    np.testing.assert_allclose(function(x.detach().numpy()), values.detach().numpy(), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(slope(x.detach().numpy()), slopes.numpy(), rtol=1e-9, atol=1e-8)


def test_all_names_are_there():
    assert sorted(ACTIVATIONS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_module_gives_what_its_name_gives(name):
    assert mean_field_map(activation_module(name), 1.3, 0.2, 0.9) == pytest.approx(
        mean_field_map(name, 1.3, 0.2, 0.9), rel=1e-7
    )


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "sigmoid"])
def test_by_monte_carlo(name):
    x = math.sqrt(0.8) * torch.randn(2_000_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x.requires_grad_()
    values = activation_module(name)(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    found = mean_field_map(name, 1.0, 0.0, 0.8)
    for exact, squares in zip(found, (values.detach() ** 2, slopes**2), strict=True):
        assert abs(exact - squares.mean().item()) <= 4 * squares.std().item() / math.sqrt(len(x))


def test_a_wide_random_layer_has_that_variance_and_passes_gradients_on_by_chi():
    width, q, sw, sb = 4000, 1.5, 1.7, 0.3
    g = torch.Generator().manual_seed(5)
    h = math.sqrt(q) * torch.randn(width, generator=g, dtype=torch.float64)
    h.requires_grad_()
    weight = math.sqrt(sw / width) * torch.randn(width, width, generator=g, dtype=torch.float64)
    bias = math.sqrt(sb) * torch.randn(width, generator=g, dtype=torch.float64)
    after = weight @ torch.tanh(h) + bias
    back = torch.randn(width, generator=g, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(after @ back, h)
    variance, chi = mean_field_map("tanh", sw, sb, q)
    assert after.var().item() == pytest.approx(variance, rel=0.1)  # relative s.e. √(2/4000) = 0.022
    assert (gradient.norm() / back.norm()).item() ** 2 == pytest.approx(chi, rel=0.15)


def test_at_q_zero_the_limit_from_above():
    assert mean_field_map("relu", 2.0, 0.0, 0.0) == (0.0, 1.0)
    assert mean_field_map("tanh", 1.5, 0.1, 0.0) == pytest.approx((0.1, 1.5))
    assert mean_field_map(softplus, 1.0, 0.0, 0.0) == pytest.approx((math.log(2) ** 2, 0.25))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("swish", 1.0, 0.0, 1.0), "activation = 'swish': allowed: identity, relu"),
        (("relu", -1.0, 0.0, 1.0), "weight_variance = -1.0"),
        (("relu", 1.0, math.nan, 1.0), "bias_variance = nan"),
        (("relu", 1.0, 0.0, -0.1), "q = -0.1"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        mean_field_map(*arguments)
