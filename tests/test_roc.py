"""ROC curves: closed forms against sampling and scipy, hulls, and predictors of one PPV and FNR in all groups."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from atml_exp.impossibility import forced_difference, positive_predictive_value
from atml_exp.roc import binormal_area, binormal_roc, equal_ppv_and_fnr, hull_height, point_of_ppv

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(("distance", "ratio"), [(1.0, 1.0), (2.0, 0.5), (0.5, 3.0)])
def test_two_normals(distance, ratio):
    """Negatives N(0, r²), positives N(d, 1)."""
    negative, positive = ratio * RNG.normal(size=200_000), distance + RNG.normal(size=200_000)
    f = np.array([0.05, 0.3, 0.8])
    measured = [(positive >= t).mean() for t in np.quantile(negative, 1 - f)]
    np.testing.assert_allclose(binormal_roc(f, distance, ratio), measured, atol=0.008)
    grid = np.linspace(0, 1, 200_001)
    area = np.trapezoid(binormal_roc(grid, distance, ratio), grid)
    assert binormal_area(distance, ratio) == pytest.approx(area, abs=1e-5)
    assert binormal_area(distance, ratio) == pytest.approx((positive > negative).mean(), abs=0.005)


def curve_of(distance, n=60):
    scores, labels = RNG.normal(size=n), np.arange(n) % 2
    order = labels[np.argsort(-(scores + distance * labels))]
    return np.concatenate([[[0.0, 0.0]], np.column_stack([(1 - order).cumsum(), order.cumsum()]) / (n / 2)])


def test_the_hull_is_scipys():
    curve = curve_of(1.0)
    equations = ConvexHull(curve).equations
    for f in np.linspace(0.01, 0.99, 23):
        h = hull_height(curve, f)
        assert (equations @ [f, h, 1]).max() == pytest.approx(0, abs=1e-12)
        assert (equations @ [f, h + 1e-6, 1]).max() > 0
    assert hull_height(curve, 1.0) == 1
    assert hull_height(curve, 0.0) == curve[curve[:, 0] == 0, 1].max()


def test_all_groups_have_the_ppv_and_the_fnr_and_differ_in_fpr_as_they_must():
    curves, base = [curve_of(2.0, 400), curve_of(1.5, 400), curve_of(2.5, 400)], [0.3, 0.5, 0.4]
    points = equal_ppv_and_fnr(curves, base, 0.8)
    fpr, fnr = points[:, 0], 1 - points[:, 1]
    np.testing.assert_allclose(positive_predictive_value(base, fpr, fnr), 0.8, rtol=1e-12)
    assert np.ptp(fnr) < 1e-12
    assert fpr[1] - fpr[0] == pytest.approx(float(forced_difference((0.3, 0.5), 0.8, fnr[0])), abs=1e-12)
    for curve, point in zip(curves, points, strict=True):
        assert point[1] <= hull_height(curve, point[0]) + 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: binormal_roc([0.5, 1.5], 1.0), "FPR lie in"),
        (lambda: binormal_area(1.0, 0.0), "ratio must be positive; got 0.0"),
        (lambda: hull_height(curve_of(1.0), -0.1), "got -0.1"),
        (lambda: hull_height(curve_of(1.0)[1:], 0.5), r"from \(0, 0\) to \(1, 1\)"),
        (lambda: point_of_ppv(curve_of(1.0), 0.5, 0.4), "between the base rate 0.5 and 1; got 0.4"),
        (lambda: point_of_ppv(np.array([[0, 0], [1, 1]]), 0.5, 0.9), "no threshold has a PPV of 0.9"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
