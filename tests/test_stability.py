"""The bounds against closed forms, their own derivation, and coupled SGD simulated where they are reached."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from atml_exp.stability import (
    brier_constants,
    convex_divergence,
    log_slope,
    logistic_constants,
    nonconvex_bound,
    smooth_divergence,
    strongly_convex_bound,
    strongly_convex_divergence,
)

OUT = np.linspace(-12, 12, 240_001)
STEP = OUT[1] - OUT[0]


@pytest.mark.parametrize(
    ("constants", "loss"),
    [
        (logistic_constants, np.logaddexp(0, OUT)),
        (brier_constants, (1 / (1 + np.exp(-OUT))) ** 2),
        (brier_constants, (1 / (1 + np.exp(-OUT)) - 1) ** 2),
    ],
)
def test_constants_are_the_largest_derivatives(constants, loss):
    first = np.gradient(loss, STEP)
    second = np.diff(loss, 2) / STEP**2
    found = constants(3.0)
    assert found.lipschitz == pytest.approx(3 * np.abs(first).max(), rel=1e-4)
    assert found.smoothness == pytest.approx(9 * np.abs(second).max(), rel=1e-4)


def test_divergences_in_closed_form():
    t, rates = np.arange(51), np.full(50, 0.2)
    np.testing.assert_allclose(convex_divergence(rates, 3.0, 10), 2 * 3 * 0.2 * t / 10)
    strong = strongly_convex_divergence(rates, 3.0, 0.5, 10)
    np.testing.assert_allclose(strong, 2 * 3 / (0.5 * 10) * (1 - (1 - 0.2 * 0.5) ** t), atol=1e-14)
    assert 3.0 * strongly_convex_divergence(np.full(5000, 0.2), 3.0, 0.5, 10)[-1] == pytest.approx(
        strongly_convex_bound(3.0, 0.5, 10)
    )
    growth = 1 + 0.9 * 0.2 * 2.0
    np.testing.assert_allclose(
        smooth_divergence(rates, 3.0, 2.0, 10), 2 * 3 * 0.2 / 10 * (growth**t - 1) / (growth - 1)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_the_convex_bounds_are_reached_by_linear_losses(gamma):
    """ℓ(w, z) = −Lzw with z = 1, and −1 in place of one of them: each draw of it moves w and w′ apart by 2ηL."""
    n, steps, lipschitz, streams = 5, 30, 2.0, 20_000
    rates = 0.3 / (1 + 0.1 * np.arange(steps))
    hits = np.random.default_rng(0).random((streams, steps)) < 1 / n
    apart = np.zeros((streams, steps + 1))
    for t, rate in enumerate(rates):
        apart[:, t + 1] = (1 - rate * gamma) * apart[:, t] + 2 * rate * lipschitz * hits[:, t]
    of = (rates, lipschitz, gamma, n) if gamma > 0 else (rates, lipschitz, n)
    theory = (strongly_convex_divergence if gamma > 0 else convex_divergence)(*of)
    errors = apart.std(0)[1:] / streams**0.5
    assert (np.abs(apart.mean(0) - theory)[1:] < 5 * errors).all()


def test_the_nonconvex_bound_is_the_best_of_its_derivation():
    """min over t₀ of t₀/(n − 1) + 2L²/(β(n − 1)) · (T/t₀)^{βc}."""
    scale, lipschitz, smoothness, n, steps = 0.7, 0.6, 0.5, 100, 1000

    def of(t0):
        rest = 2 * lipschitz**2 / smoothness * (steps / t0) ** (smoothness * scale)
        return (t0 + rest) / (n - 1)

    best = minimize_scalar(of, bounds=(1e-3, steps), method="bounded", options={"xatol": 1e-9}).fun
    assert nonconvex_bound(steps, scale, lipschitz, smoothness, n) == pytest.approx(best, rel=1e-9)


def test_slope_of_a_power():
    x = np.array([1.0, 3.0, 10.0])
    assert log_slope(x, 5 * x**-1.5) == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logistic_constants(0), "radius is 0: it must be positive"),
        (lambda: convex_divergence([0.1, 0.0], 1, 10), r"rates must be \(T,\)"),
        (lambda: convex_divergence([0.1], 1, 0), "n is 0: it must be positive"),
        (lambda: strongly_convex_divergence([0.1], 1, 0, 10), "gamma is 0"),
        (lambda: smooth_divergence([0.1], 1, -1, 10), "smoothness is -1: it must be at least 0"),
        (lambda: nonconvex_bound(10, 1, 1, 1, 1), "n is 1: it must be at least 2"),
        (lambda: log_slope([1, 1], [1, 2]), "two different x"),
        (lambda: log_slope([1, 2], [0, 2]), "all of x and y > 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
