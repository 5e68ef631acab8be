"""Closed forms against simulations, and against each other where they meet."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from atml_exp.theory import gradient_descent_risk, min_norm_risk


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
