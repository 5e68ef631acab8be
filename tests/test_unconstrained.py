import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from atml_exp.unconstrained import (
    classifier_cosines,
    collapsed_scale,
    logits_at_minimum,
    minority_merges,
    vanishing_decay_cosines,
)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize(("c", "n", "decay"), [(2, 1, 0.1), (4, 10, 5e-3), (10, 50, 1e-3), (4, 10, 0.5)])
def test_the_scale_minimises_the_objective_along_the_frame(loss, c, n, decay):
    def objective(s):
        fit = math.log1p((c - 1) * math.exp(-s)) if loss == "cross_entropy" else (c - 1) / c * (1 - s) ** 2 / 2
        return fit + decay * (c - 1) * math.sqrt(n) * s

    found = minimize_scalar(objective, bounds=(0, 30), method="bounded", options={"xatol": 1e-10})
    assert collapsed_scale(c, n, decay, loss) == pytest.approx(found.x, abs=1e-4)


def test_equal_classes_have_the_logits_of_the_closed_form():
    z = logits_at_minimum([7] * 5, 0.01)
    s = collapsed_scale(5, 7, 0.01, "cross_entropy")
    np.testing.assert_allclose(z, s * (np.eye(5) - 1 / 5), atol=1e-7)


def objective(w, h, sizes, decay):
    """Of the model itself, with one feature vector (a column of h) for each class."""
    z = w @ h
    fit = (np.log(np.exp(z).sum(0)) - np.diag(z)) @ sizes / sizes.sum()
    return fit + decay / 2 * ((w**2).sum() + (h**2 @ sizes).sum())


@pytest.mark.parametrize("sizes", [(30, 30, 5), (40, 10, 2, 2), (8, 8, 8, 8)])
def test_the_convex_programme_is_the_best_that_descent_finds(sizes):
    """Its factors have its value, and no descent from five random starts finds less."""
    sizes, c, decay = np.array(sizes), len(sizes), 0.02
    u, s, vt = np.linalg.svd(logits_at_minimum(sizes, decay) * np.sqrt(sizes))
    ours = objective(u * np.sqrt(s), np.sqrt(s)[:, None] * vt / np.sqrt(sizes), sizes, decay)
    found = []
    for seed in range(5):
        start = np.random.default_rng(seed).normal(size=2 * c * c)
        found.append(minimize(lambda v: objective(*v.reshape(2, c, c), sizes, decay), start, method="L-BFGS-B").fun)
    assert min(found) == pytest.approx(ours, abs=1e-6)


def test_minority_classes_merge_exactly_beyond_the_threshold():
    """√n ≤ λN, whatever the other classes' sizes are: cosine 1 to rounding there, and less just before."""
    decay = 0.008
    for n in range(1, 13):
        sizes = [64] * 3 + [n] * 3
        cosine = classifier_cosines(sizes, decay)[4, 5]
        assert (cosine > 1 - 1e-6) == minority_merges(n, sum(sizes), decay)
    assert minority_merges(2, 198, decay)
    assert not minority_merges(3, 201, decay)


def test_little_decay_tends_to_the_simplex_encoded_labels():
    sizes = [20, 20, 2, 2]
    limit = vanishing_decay_cosines(sizes)
    away = [np.abs(classifier_cosines(sizes, decay) - limit).max() for decay in (1e-2, 1e-3, 1e-4, 1e-5)]
    assert all(later < earlier for earlier, later in pairwise(away))
    assert away[-1] < 0.05  # only logarithmically: the logits themselves grow as log(1/λ)


def test_the_order_of_the_classes_and_a_larger_decay_do_what_they_must():
    sizes, order = [20, 9, 4], [2, 0, 1]
    cosines = classifier_cosines(sizes, 0.01)
    np.testing.assert_allclose(classifier_cosines([4, 20, 9], 0.01), cosines[np.ix_(order, order)], atol=1e-6)
    assert np.isnan(classifier_cosines([4, 4], 1.0)).all()  # all is 0


def test_what_has_no_minimum_is_refused():
    with pytest.raises(ValueError, match=r"weight_decay = 0: allowed .*without it there is no minimum"):
        collapsed_scale(3, 4, 0, "mse")
    with pytest.raises(ValueError, match=r"weight_decay = 0.0: it must be > 0"):
        logits_at_minimum([3, 3], 0.0)
    with pytest.raises(ValueError, match=r"sizes = \[3, 0\]: allowed are two classes or more"):
        classifier_cosines([3, 0], 0.1)
    with pytest.raises(ValueError, match="2 proximal steps don't reach the minimum"):
        logits_at_minimum([9, 2], 0.01, max_iterations=2)
