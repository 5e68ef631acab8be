"""Closed forms against simulations, and against each other where they meet."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from atml_exp.theory import (
    acceleration_bound,
    best_rate,
    first_order_lower_bound,
    gd_quadratic,
    gradient_descent_bound,
    gradient_descent_risk,
    largest_stable_learning_rate,
    min_norm_risk,
    sgd_stationary_variance,
)


@pytest.mark.parametrize("p", [0, 3, 10, 17, 24, 40, 60])
def test_the_risk_of_the_min_norm_solution_is_that_of_simulations(p):
    n, d, noise, draws = 20, 60, 0.5, 4000
    generator = np.random.default_rng(p)
    beta = np.arange(d, 0, -1) / 100
    risks = []
    for _ in range(draws):
        x = generator.standard_normal((n, d))
        y = x @ beta + math.sqrt(noise) * generator.standard_normal(n)
        fitted = np.zeros(d)
        fitted[:p] = np.linalg.lstsq(x[:, :p], y, rcond=None)[0] if p else 0
        risks.append(((beta - fitted) ** 2).sum() + noise)
    error = np.std(risks) / math.sqrt(draws)
    assert np.mean(risks) == pytest.approx(min_norm_risk(n, p, beta, noise), rel=1e-12, abs=4 * error)


def test_it_peaks_at_the_interpolation_threshold_and_falls_again():
    beta = torch.ones(200) / math.sqrt(200)
    risks = [min_norm_risk(40, p, beta, 0.01) for p in range(201)]
    assert [p for p, r in enumerate(risks) if math.isinf(r)] == [39, 40, 41]
    assert risks[0] == pytest.approx(1.01)
    assert all(a < b for a, b in pairwise(risks[20:39]))
    assert all(a > b for a, b in pairwise(risks[42:101]))


def test_without_anything_unexplained_the_solution_is_found_once_there_are_enough_examples():
    beta = [0.6, 0.8]
    assert min_norm_risk(40, 2, beta, 0.0) == 0
    assert min_norm_risk(2, 2, beta, 0.0) == 0
    assert min_norm_risk(1, 2, beta, 0.0) == pytest.approx(0.5)


def test_refusals():
    for n, p, noise in ((0, 1, 0.1), (5, -1, 0.1), (5, 4, 0.1), (5, 1, -0.1), (5, 1, math.nan)):
        with pytest.raises(ValueError, match=rf"n = {n}, p = {p}, noise_variance = {noise}: allowed are"):
            min_norm_risk(n, p, [1.0, 2.0, 3.0], noise)


def test_the_risk_of_gradient_descent_is_that_of_simulations():
    """Of two scales, of which the fast one fits noise before the slow one is learnt: it falls, rises and falls."""
    n, d, noise, rate, steps = 4000, 11, 400.0, 0.1, 2000
    lam = np.array([1.0] * 10 + [0.01])
    beta = np.array([0.3] * 10 + [10.0])
    generator = np.random.default_rng(0)
    found = np.zeros(steps + 1)
    for _ in range(60):
        x = generator.standard_normal((n, d)) * np.sqrt(lam)
        y = x @ beta + math.sqrt(noise) * generator.standard_normal(n)
        h, b, w = x.T @ x / n, x.T @ y / n, np.zeros(d)
        for step in range(steps + 1):
            found[step] += (noise + lam @ (w - beta) ** 2) / 60
            w = w - rate * (h @ w - b)
    theory = gradient_descent_risk(np.arange(steps + 1), lam, beta, noise, n, rate)
    excess = (found - noise) / (theory - noise)
    assert np.abs(excess - 1).max() < 0.15
    first = theory[:100].argmin()
    assert theory[first] < theory[0]
    assert theory[first:400].max() > theory[first] + 0.1
    assert theory[-1] < theory[first]


def descended(eigenvalues, learning_rate, steps, momentum, nesterov):
    """torch.optim.SGD itself on ½Σλe², from e = 1."""
    lam = torch.tensor(eigenvalues, dtype=torch.float64)
    w = torch.ones(len(lam), dtype=torch.float64, requires_grad=True)
    rule = torch.optim.SGD([w], lr=learning_rate, momentum=momentum, nesterov=nesterov)
    for _ in range(steps):
        rule.zero_grad()
        (0.5 * lam * w**2).sum().backward()
        rule.step()
    return w.detach().numpy()


@pytest.mark.parametrize(
    ("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.5, False), (0.9, True), (0.3, True)]
)
def test_gd_on_a_quadratic_is_torchs_own(momentum, nesterov):
    eigenvalues = [-0.5, 0.0, 0.1, 1.0, 3.0, 19.0, 21.0]
    for steps in (0, 1, 2, 57):
        found = gd_quadratic(eigenvalues, 0.1, steps, momentum, nesterov)
        np.testing.assert_allclose(
            found, descended(eigenvalues, 0.1, steps, momentum, nesterov), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.4, True)])
def test_beyond_the_largest_stable_learning_rate_the_error_grows(momentum, nesterov):
    edge = largest_stable_learning_rate(7.0, momentum, nesterov)
    below, above = (abs(gd_quadratic([7.0], f * edge, 20_000, momentum, nesterov)[0]) for f in (0.999, 1.001))
    assert below < 0.01
    assert above > 100


def test_sgds_stationary_variance_by_simulation():
    h, variance, rate = 2.0, 0.7, 0.3
    rng, e = np.random.default_rng(1), np.zeros(200_000)
    for _ in range(100):
        e = (1 - rate * h) * e - rate * rng.normal(0, variance**0.5, len(e))
    found = sgd_stationary_variance(h, variance, rate)
    assert abs(e.var() / found - 1) <= 4 * (2 / len(e)) ** 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gd_quadratic([1.0], 0.0, 1), "learning_rate is 0.0"),
        (lambda: gd_quadratic([1.0], 0.1, -1), "steps is -1"),
        (lambda: gd_quadratic([1.0], 0.1, 2, 1.0), "momentum is 1.0"),
        (lambda: largest_stable_learning_rate(0.0), "eigenvalue is 0.0"),
        (lambda: largest_stable_learning_rate(1.0, -0.1), "momentum is -0.1"),
        (lambda: sgd_stationary_variance(0.0, 1.0, 0.1), "curvature = 0.0"),
        (lambda: sgd_stationary_variance(1.0, -1.0, 0.1), "noise_variance = -1.0"),
    ],
)
def test_what_the_rules_of_descent_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_bounds_for_smooth_convex_functions_lie_in_their_order():
    n = np.arange(1, 1000)
    lower, fast, slow = (
        f(n, 2.0, 3.0) for f in (first_order_lower_bound, acceleration_bound, gradient_descent_bound)
    )
    assert (lower < fast).all()
    assert (lower < slow).all()
    assert (fast[n > 10] < slow[n > 10]).all()
    assert gradient_descent_bound(0, 2.0, 3.0) == 2.0 * 9.0 / 2  # smoothness alone: f − f* ≤ ½LR²


RULES = {  # (η, β, Nesterov's) for L = 1, μ = 1/κ
    "gradient_descent": lambda k: (2 / (1 + 1 / k), 0.0, False),
    "heavy_ball": lambda k: (4 / (1 + k**-0.5) ** 2, ((k**0.5 - 1) / (k**0.5 + 1)) ** 2, False),
    "nesterov": lambda k: (1.0, (k**0.5 - 1) / (k**0.5 + 1), True),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("kappa", [10.0, 300.0])
def test_the_best_rate_is_what_the_closed_form_comes_to(kappa, method):
    rate, momentum, nesterov = RULES[method](kappa)
    steps = 60 * int(kappa**0.5) if momentum else 20 * int(kappa)
    ends = [np.linalg.norm(gd_quadratic([1.0, 1 / kappa], rate, t, momentum, nesterov)) for t in (steps, 2 * steps)]
    measured = math.log(ends[1] / ends[0]) / steps
    assert measured == pytest.approx(math.log(best_rate(kappa, method)), rel=0.015)  # t·rate^t: ln 2/60


def test_no_numbers_are_better_for_gradient_descent_and_heavy_ball():
    kappa, lam = 50.0, [1.0, 1 / 50.0]
    for method in ("gradient_descent", "heavy_ball"):
        rate, momentum, _ = RULES[method](kappa)
        found = np.linalg.norm(gd_quadratic(lam, rate, 200, momentum))
        for other in (0.9, 1.1):
            assert np.linalg.norm(gd_quadratic(lam, rate * other, 200, momentum)) > found


@pytest.mark.parametrize(
    ("arguments", "words"), [((0.5, "nesterov"), "condition_number is 0.5"), ((2, "sgd"), "'sgd'")]
)
def test_what_best_rate_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        best_rate(*arguments)
