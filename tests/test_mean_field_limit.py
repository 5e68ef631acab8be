"""Fixed points, correlations and depth scales against closed forms, finite differences, and wide random layers."""

import math

import numpy as np
import pytest
import torch

from atml_exp.mean_field import mean_field_map
from atml_exp.mean_field_limit import (
    correlation_map,
    correlation_slope,
    critical_point,
    depth_scales,
    fixed_correlation,
    fixed_variance,
    jacobian_variance,
    propagate,
)

CORRELATIONS = (-1.0, -0.4, 0.0, 0.5, 0.99, 1.0)


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize("q", [0.01, 1.0, 30.0])
def test_the_correlation_map_in_closed_form(c, q):
    """Cho & Saul (2009) for ReLU at any variance, Williams (1997) for erf, moments of a Gaussian."""
    arc_cosine = (math.sqrt(1 - c**2) + c * (math.pi - math.acos(c))) / math.pi
    assert correlation_map("relu", 1.7, 0.0, c, q) == pytest.approx(arc_cosine, abs=1e-11)
    assert correlation_map("identity", 1.5, 0.2, c, q) == pytest.approx(
        (1.5 * q * c + 0.2) / (1.5 * q + 0.2), abs=1e-11
    )
    covariance, variance = (2 / math.pi * math.asin(2 * q * k / (1 + 2 * q)) for k in (c, 1))
    erf = (1.3 * covariance + 0.1) / (1.3 * variance + 0.1)
    assert correlation_map(torch.erf, 1.3, 0.1, c, q) == pytest.approx(erf, abs=1e-9)


@pytest.mark.parametrize("c", CORRELATIONS)
def test_its_slope_in_closed_form(c):
    """1 − arccos(c)/π for ReLU, at any variances without biases."""
    assert correlation_slope("relu", 0.6, 0.0, c, 3.0) == pytest.approx(1 - math.acos(c) / math.pi, abs=1e-11)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid", "elu"])
@pytest.mark.parametrize("c", [-0.3, 0.2, 0.9])
def test_its_slope_is_the_derivative(activation, c):
    around = [correlation_map(activation, 1.4, 0.1, c + h, 0.8) for h in (1e-4, -1e-4)]
    assert correlation_slope(activation, 1.4, 0.1, c, 0.8) == pytest.approx(
        (around[0] - around[1]) / 2e-4, rel=1e-6
    )


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_at_the_fixed_point_the_slope_at_one_is_chi(activation):
    q = fixed_variance(activation, 1.6, 0.2)
    assert correlation_slope(activation, 1.6, 0.2, 1.0, q) == pytest.approx(
        mean_field_map(activation, 1.6, 0.2, q)[1]
    )


@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu"])
def test_the_correlation_map_by_monte_carlo(activation):
    c, q, n = 0.6, 1.3, 400_000
    function = {"tanh": torch.tanh, "gelu": torch.nn.functional.gelu, "leaky_relu": torch.nn.functional.leaky_relu}
    z = torch.randn(2, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, two = (function[activation](math.sqrt(q) * u) for u in (z[0], c * z[0] + math.sqrt(1 - c**2) * z[1]))
    products, variance = 2.0 * one * two + 0.1, mean_field_map(activation, 2.0, 0.1, q)[0]
    error = 4 * products.std().item() / math.sqrt(n)
    assert abs(correlation_map(activation, 2.0, 0.1, c, q) * variance - products.mean().item()) <= error


@pytest.mark.parametrize(("weight", "bias"), [(1.0, 0.5), (1.9, 0.01), (0.1, 3.0)])
def test_fixed_variances_in_closed_form(weight, bias):
    assert fixed_variance("relu", weight, bias) == pytest.approx(bias / (1 - weight / 2), rel=1e-9)
    assert fixed_variance("identity", weight / 2, bias) == pytest.approx(bias / (1 - weight / 2), rel=1e-9)


@pytest.mark.parametrize("start", [1e-3, 0.3, 40.0])
def test_a_fixed_variance_is_where_the_map_goes(start):
    q = start
    for _ in range(300):
        q, _ = mean_field_map("tanh", 2.0, 0.05, q)
    assert fixed_variance("tanh", 2.0, 0.05, start) == pytest.approx(q, rel=1e-9)


def test_fixed_variances_of_signals_that_vanish_or_explode():
    assert fixed_variance("tanh", 0.9, 0.0) == 0.0
    assert fixed_variance("relu", 2.1, 0.0) == math.inf
    assert fixed_variance("relu", 2.0, 0.0, 7.0) == 7.0
    assert fixed_variance("relu", 2.0, 0.1) == math.inf


def test_order_and_chaos():
    """tanh at σ_b² = 0.05: c* = 1 below the critical σ_w², else less; ReLU is never chaotic."""
    weights = np.array([1.2, 1.6, 2.0, 3.0])
    q = [fixed_variance("tanh", w, 0.05) for w in weights]
    found = [fixed_correlation("tanh", w, 0.05, v) for w, v in zip(weights, q, strict=True)]
    chi = [mean_field_map("tanh", w, 0.05, v)[1] for w, v in zip(weights, q, strict=True)]
    assert [c < 1 for c in found] == [x > 1 for x in chi] == [False, False, True, True]
    assert correlation_map("tanh", 3.0, 0.05, found[-1], q[-1]) == pytest.approx(found[-1], abs=1e-9)
    assert fixed_correlation("relu", 5.0, 0.0, 1.0) == fixed_correlation("relu", 1.0, 0.3, 0.6) == 1.0


@pytest.mark.parametrize("q", [1e-3, 0.2, 1.0, 3.0])
@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu", "gelu"])
def test_at_a_critical_point_q_is_fixed_and_chi_is_one(activation, q):
    point = critical_point(activation, q)
    assert mean_field_map(activation, *point, q) == pytest.approx((q, 1.0), rel=1e-9)


def test_the_critical_line_of_tanh_starts_at_one_and_rises():
    line = np.array([critical_point("tanh", q) for q in (0.0, 0.01, 0.1, 1.0, 3.0)])
    assert line[0].tolist() == [1.0, 0.0]
    assert (np.diff(line, axis=0) > 0).all()


def test_depth_scales_in_closed_form():
    """identity: both slopes are σ_w². ReLU: dq′/dq = χ₁ = σ_w²/2. At criticality infinite."""
    assert depth_scales("identity", 0.5, 1.0) == pytest.approx([-1 / math.log(0.5)] * 2, rel=1e-8)
    assert depth_scales("relu", 1.5, 0.2) == pytest.approx([-1 / math.log(0.75)] * 2, rel=1e-8)
    assert depth_scales("tanh", *critical_point("tanh", 0.5))[1] == math.inf


@pytest.mark.parametrize(
    ("activation", "weight", "bias"), [("tanh", 1.3, 0.1), ("tanh", 3.0, 0.1), ("elu", 0.8, 0.2)]
)
def test_depth_scales_are_those_of_the_iteration(activation, weight, bias):
    q, (of_q, of_c) = fixed_variance(activation, weight, bias), depth_scales(activation, weight, bias)
    c = fixed_correlation(activation, weight, bias, q)
    near = 1e-4
    after = mean_field_map(activation, weight, bias, q + near)[0] - q
    assert -1 / math.log(after / near) == pytest.approx(of_q, rel=1e-3)
    after = c - correlation_map(activation, weight, bias, c - near, q)
    assert -1 / math.log(after / near) == pytest.approx(of_c, rel=2e-3)


def test_signals_by_depth_are_the_iterated_maps():
    found = propagate("tanh", 1.8, 0.1, 3, 0.5, 0.4)
    q, c = 1.8 * 0.5 + 0.1, (1.8 * 0.4 * 0.5 + 0.1) / (1.8 * 0.5 + 0.1)
    for layer in range(3):
        after, chi = mean_field_map("tanh", 1.8, 0.1, q)
        assert (found.q[layer], found.c[layer], found.chi[layer]) == pytest.approx((q, c, chi))
        q, c = after, correlation_map("tanh", 1.8, 0.1, c, q)


def test_a_wide_random_net_in_standard_errors():
    """Mean variance and correlation of 4 layers of 600 units over 24 nets; biases too."""
    width, depth, (weight, bias) = 600, 4, (1.7, 0.1)
    g = torch.Generator().manual_seed(2)
    x = torch.randn(2, width, generator=g, dtype=torch.float64)
    squares, cosine = x.square().mean().item(), torch.cosine_similarity(*x, dim=0).item()
    x = x / x.norm(dim=1, keepdim=True) * math.sqrt(squares * width)
    found = []
    for _ in range(24):
        h, rows = x, []
        for _ in range(depth):
            w = math.sqrt(weight / width) * torch.randn(width, width, generator=g, dtype=torch.float64)
            h = h @ w.T + math.sqrt(bias) * torch.randn(width, generator=g, dtype=torch.float64)
            rows.append((h.square().mean(), torch.cosine_similarity(*h, dim=0)))
            h = torch.tanh(h)
        found.append(torch.tensor(rows))
    mean, error = torch.stack(found).mean(0), torch.stack(found).std(0) / math.sqrt(24)
    expected = propagate("tanh", weight, bias, depth, squares, cosine)
    for measured, spread, exact in zip(mean.T, error.T, expected[:2], strict=True):
        assert ((measured - torch.tensor(exact)).abs() <= 4 * spread).all()


@pytest.mark.parametrize("orthogonal", [True, False])
def test_variances_of_squared_singular_values(orthogonal):
    """Of one wide layer diag(φ′(√q z)) W, by its singular values; tanh becomes isometric as q goes to 0."""
    g = torch.Generator().manual_seed(4)
    w = torch.randn(700, 700, generator=g, dtype=torch.float64) / math.sqrt(700)
    w = torch.linalg.qr(w)[0] if orthogonal else w
    z = torch.randn(700, 1, generator=g, dtype=torch.float64)
    s = torch.linalg.svdvals((1 - torch.tanh(z) ** 2) * w) ** 2
    measured = (s.var(correction=0) / s.mean() ** 2).item()
    assert jacobian_variance("tanh", 1.0, orthogonal=orthogonal) == pytest.approx(measured, rel=0.12)
    assert jacobian_variance("tanh", 0.0, orthogonal=orthogonal) == (0.0 if orthogonal else 1.0)
    assert jacobian_variance("relu", 5.0, orthogonal=orthogonal) == (1.0 if orthogonal else 2.0)


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (correlation_map, ("relu", 2.0, 0.0, 1.1, 1.0), "c = 1.1, q = 1.0: allowed are −1 ≤ c ≤ 1"),
        (correlation_map, ("relu", 2.0, 0.0, 0.5, 0.0), "q = 0.0: allowed"),
        (correlation_map, ("relu", 0.0, 0.0, 0.5, 1.0), "q′ is 0"),
        (correlation_slope, ("relu", 2.0, 0.0, math.nan, 1.0), "c = nan"),
        (correlation_map, ("swish", 2.0, 0.0, 0.5, 1.0), "activation = 'swish'"),
        (fixed_variance, ("relu", 2.0, 0.0, 0.0), "start = 0.0"),
        (fixed_variance, ("relu", -2.0, 0.0), "weight_variance = -2.0"),
        (critical_point, ("sigmoid", 1.0), r"bias variance of -5.543 < 0"),
        (depth_scales, ("tanh", 0.9, 0.0), r"q\* = 0.0"),
        (propagate, ("relu", 2.0, 0.0, 0), "depth = 0"),
        (propagate, ("relu", 2.0, 0.0, 3, -1.0), "q = -1.0"),
    ],
)
def test_refusals(function, arguments, words):
    with pytest.raises(ValueError, match=words):
        function(*arguments)
