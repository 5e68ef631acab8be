"""Frontiers against brute force, simulation and what must hold of any prediction."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.fair_frontier import (
    bayes_rates,
    equalised_odds_frontier,
    error_bound,
    parity_frontier,
    selection_accuracy,
)
from atml_exp.probes.fairness import group_rates
from atml_exp.roc import binormal_roc

P, D, W = (0.3, 0.6), (1.5, 2.5), (2.0, 1.0)
RNG = np.random.default_rng(0)


def accuracy_of(points, w=(0.5, 0.5)):
    """Of a point (FPR, TPR) for each group."""
    return sum(w[g] * (P[g] * points[g][1] + (1 - P[g]) * (1 - points[g][0])) for g in (0, 1))


def test_bayes_rates_are_those_of_the_posterior_on_a_sample():
    data = binormal_groups(base_rates=list(P), separations=list(D), shares=list(W), num_train=200_000).train
    signal, d, p = data.x[:, 0], torch.tensor(D)[data.group], torch.tensor(P)[data.group]
    decided = (d * signal + (p / (1 - p)).log() > 0).long()
    found = group_rates(data.y, decided, data.group)
    for g in (0, 1):
        fpr, tpr = bayes_rates(P[g], D[g])
        assert tpr == pytest.approx(float(binormal_roc(fpr, D[g])), abs=1e-12)
        assert (found.fpr[g], found.tpr[g]) == pytest.approx((fpr, tpr), abs=0.01)


def test_no_threshold_is_better_than_bayes_and_the_curve_is_concave():
    s = np.linspace(0, 1, 201)
    for p, d in zip(P, D, strict=True):
        a = selection_accuracy(s, p, d)
        fpr, tpr = bayes_rates(p, d)
        best = p * tpr + (1 - p) * (1 - fpr)
        assert a.max() <= best + 1e-12
        assert float(selection_accuracy(p * tpr + (1 - p) * fpr, p, d)) == pytest.approx(best, abs=1e-12)
        assert (np.diff(a, 2) <= 1e-9).all()
        assert a[[0, -1]] == pytest.approx([1 - p, p], abs=1e-12)


def test_parity_is_what_a_search_over_all_selection_rates_finds():
    s = np.linspace(0, 1, 401)
    a, b = (selection_accuracy(s, p, d) for p, d in zip(P, D, strict=True))
    w = np.array(W) / 3
    total = w[0] * a[:, None] + w[1] * b
    apart = np.abs(s[:, None] - s)
    for gap in (0.0, 0.1, 0.25, 0.5):
        found = parity_frontier(gap, P, D, W)[0]
        brute = total[apart <= gap + 1e-12].max()
        assert brute - 1e-12 <= found <= brute + 1e-4


def test_parity_of_three_groups():
    p, d = (0.2, 0.5, 0.7), (1.0, 2.0, 1.5)
    s = np.linspace(0, 1, 81)
    parts = [selection_accuracy(s, *of) for of in zip(p, d, strict=True)]
    total = (parts[0][:, None, None] + parts[1][None, :, None] + parts[2]) / 3
    grid = np.meshgrid(s, s, s, indexing="ij")
    for gap in (0.0, 0.2):
        brute = total[np.ptp(grid, axis=0) <= gap + 1e-12].max()
        assert brute - 1e-12 <= parity_frontier(gap, p, d)[0] <= brute + 1e-3


def test_odds_are_what_a_search_over_mixtures_of_thresholds_finds():
    t = np.linspace(-4, 4, 81)
    curves = [np.column_stack([norm.sf(t + d / 2), norm.sf(t - d / 2)]) for d in D]
    points = []
    for curve in curves:  # of the curve, and of a threshold mixed with a coin of any probability
        coins = np.linspace(0, 1, 21)
        mixed = [(1 - m) * curve + m * np.array([c, c]) for m in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5) for c in coins]
        points.append(np.concatenate(mixed))
    for gap in (0.05, 0.1, 0.2):
        found = equalised_odds_frontier(gap, P, D)[0]
        best = 0.0
        for a in points[0][::7]:
            near = points[1][(np.abs(points[1] - a) <= gap).all(1)]
            if len(near):
                best = max(
                    best,
                    0.5 * (P[0] * a[1] + (1 - P[0]) * (1 - a[0]))
                    + 0.5 * float((P[1] * near[:, 1] + (1 - P[1]) * (1 - near[:, 0])).max()),
                )
        assert best - 2e-4 <= found <= best + 5e-3


def test_frontiers_rise_to_bayes_and_stay():
    gaps = np.linspace(0, 1, 21)
    bayes = accuracy_of([bayes_rates(p, d) for p, d in zip(P, D, strict=True)])
    for frontier in (parity_frontier, equalised_odds_frontier):
        values = frontier(gaps, P, D)
        assert (np.diff(values) >= -1e-9).all()
        assert values[-1] == pytest.approx(bayes, abs=1e-4)
        assert values[0] < bayes - 0.01
        assert (np.diff(values, 2) <= 2e-4).all()  # concave


def test_equal_odds_of_equal_separations_cost_only_the_one_threshold():
    """The ROC curve is shared, and the best point for both is that of the mean base rate."""
    d, p = 2.0, 0.45
    fpr, tpr = bayes_rates(p, d)
    best = p * tpr + (1 - p) * (1 - fpr)
    assert equalised_odds_frontier(0.0, P, (d, d))[0] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_no_prediction_errs_less_than_the_bound(seed):
    rng = np.random.default_rng(seed)
    y, group = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    y = np.where(group == 1, y | rng.integers(0, 2, 200), y)
    answers = np.where(rng.random(200) < rng.random(), y, rng.integers(0, 2, 200))
    errors = [float((answers != y)[group == g].mean()) for g in (0, 1)]
    rates = [float(y[group == g].mean()) for g in (0, 1)]
    gap = abs(np.subtract(*(answers[group == g].mean() for g in (0, 1))))
    assert sum(errors) >= float(error_bound(rates, gap)) - 1e-12


def test_perfect_prediction_and_none_meet_the_bound():
    assert float(error_bound((0.2, 0.7), 0.5)) == 0  # Ŷ = Y
    assert float(error_bound((0.0, 1.0), 0.0)) == 1  # Ŷ constant


def test_the_frontier_keeps_to_the_bound():
    for gap, accuracy in zip((0.0, 0.1, 0.2), parity_frontier((0.0, 0.1, 0.2), P, D), strict=True):
        assert 2 * (1 - accuracy) >= float(error_bound(P, gap))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bayes_rates(0.3, 0.0), "distance of the classes must be positive; got 0.0"),
        (lambda: bayes_rates(1.0, 1.0), "base rates must lie between"),
        (lambda: parity_frontier(0.1, P, (1.0,)), "got 1, 2, 2"),
        (lambda: error_bound((0.1, 0.2, 0.3), 0.0), "two base rates; got 3"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
