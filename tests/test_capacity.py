"""Closed forms against simulation, against one another, and what must be refused."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.neighbors import KNeighborsClassifier

from atml_exp.capacity import (
    bayes_error,
    cover_hart_bound,
    grid,
    nearest_neighbours_error,
    polynomial_risks,
    values,
)

N, T, NOISE = 20, 50, 0.4
RNG = np.random.default_rng(0)


def simulated(degree, repeats=4000):
    x, z = grid(N), grid(T)
    y = values("sine", x) + NOISE * RNG.standard_normal((repeats, N))
    new = values("sine", z) + NOISE * RNG.standard_normal((repeats, T))
    h, g = (np.polynomial.legendre.legvander(t, degree) * np.sqrt(2 * np.arange(degree + 1) + 1) for t in (x, z))
    w = np.linalg.pinv(h, rcond=1e-12) @ y.T
    return ((y.T - h @ w) ** 2).mean(0), ((new.T - g @ w) ** 2).mean(0)


@pytest.mark.parametrize("degree", [0, 3, 9, 14, 19, 24])
def test_polynomial_risks_are_those_of_simulations(degree):
    found = polynomial_risks(degree, grid(N), grid(T), values("sine", grid(N)), values("sine", grid(T)), NOISE)
    training, test = simulated(degree)
    assert training.mean() == pytest.approx(found.training, abs=4 * found.training_spread / 4000**0.5 + 1e-12)
    assert test.mean() == pytest.approx(found.test, abs=4 * found.test_spread / 4000**0.5)
    assert training.std() == pytest.approx(found.training_spread, rel=0.06, abs=1e-9)
    assert test.std() == pytest.approx(found.test_spread, rel=0.2)  # near a χ² of one degree where it is large
    assert found.test == pytest.approx(NOISE**2 + found.bias + found.variance)


def test_on_its_own_inputs_the_variance_is_p_over_n():
    f = values("runge", grid(N))
    found = polynomial_risks(6, grid(N), grid(N), f, f, NOISE)
    assert found.variance == pytest.approx(NOISE**2 * 7 / N)
    assert found.training == pytest.approx(found.bias + NOISE**2 * (1 - 7 / N))


def test_a_polynomial_has_no_bias_from_its_degree_on():
    f, g = grid(N) ** 3, grid(T) ** 3
    bias = [polynomial_risks(k, grid(N), grid(T), f, g, 0.1).bias for k in range(6)]
    assert min(bias[:3]) > 1e-3
    assert max(bias[3:]) < 1e-20


@pytest.mark.parametrize("k", [1, 3, 15])
def test_neighbours_err_as_the_limit_says(k):
    """Along the means alone, where 30,000 examples are dense."""
    y = RNG.integers(2, size=(2, 30_000))
    x = RNG.standard_normal((2, 30_000)) + 2 * (y - 0.5)
    error = (KNeighborsClassifier(k).fit(x[0][:, None], y[0]).predict(x[1][:, None]) != y[1]).mean()
    expected = nearest_neighbours_error(k, 2.0)
    assert error == pytest.approx(expected, abs=4.5 * np.sqrt(expected * (1 - expected) / 30_000))


def test_one_neighbour_is_between_cover_and_harts_bounds_and_more_are_better():
    for separation in (0.5, 2.0, 4.0):
        best = bayes_error(separation)
        errors = [nearest_neighbours_error(k, separation) for k in (1, 3, 5, 25, 1001)]
        assert best < errors[0] < cover_hart_bound(best)
        assert all(np.diff(errors) < 0)
        assert errors[-1] == pytest.approx(best, abs=2e-3)


def test_even_k_is_as_good_as_one_less():
    assert nearest_neighbours_error(4, 2.0) == pytest.approx(nearest_neighbours_error(3, 2.0), abs=1e-9)


def test_the_bound_is_reached_at_both_ends():
    for classes in (2, 10):
        assert cover_hart_bound(0.0, classes) == 0
        assert cover_hart_bound(1 - 1 / classes, classes) == pytest.approx(1 - 1 / classes)


def test_the_bayes_error_is_that_of_the_nearest_mean():
    assert bayes_error(3.0, 1.5) == pytest.approx(norm.sf(1.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: values("cubic", 0.0), "allowed: sine, runge, step"),
        (lambda: polynomial_risks(-1, [0.0], [0.0], [0.0], [0.0], 1.0), "degree = -1"),
        (lambda: polynomial_risks(1, [0.0], [0.0], [0.0], [0.0], -1.0), "noise = -1"),
        (lambda: polynomial_risks(1, [0.0, 1.0], [0.0], [0.0], [0.0], 1.0), "equal shapes"),
        (lambda: cover_hart_bound(0.6), "bayes is 0.6"),
        (lambda: nearest_neighbours_error(0, 1.0), "k is 0"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
