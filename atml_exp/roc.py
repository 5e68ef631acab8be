"""ROC curves in numpy: the normal distribution's closed form, hulls, and the points that share a PPV."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from atml_exp.impossibility import odds

__all__ = ["binormal_area", "binormal_roc", "equal_ppv_and_fnr", "hull_height", "point_of_ppv"]


def binormal_roc(fpr: ArrayLike, distance: float, ratio: float = 1.0) -> np.ndarray:
    """TPR = Φ(d + r·Φ⁻¹(FPR)) of a score that is N(μ₋, σ₋²) for negatives and N(μ₊, σ₊²) for positives.

    distance: d = (μ₊ − μ₋)/σ₊. ratio: r = σ₋/σ₊. Any increasing function of the score has the same curve. Green &
    Swets (1966), Signal detection theory and psychophysics. ValueError for ratio ≤ 0 and FPR outside [0, 1].

    >>> binormal_roc([0.0, 0.5, 1.0], 0.0).tolist()
    [0.0, 0.5, 1.0]
    """
    f = np.asarray(fpr, dtype=np.float64)
    if ratio <= 0 or not ((f >= 0) & (f <= 1)).all():
        raise ValueError(f"ratio must be positive and FPR lie in [0, 1]; got {ratio} and {f.tolist()}")
    return np.asarray(norm.cdf(distance + ratio * norm.ppf(f)))


def binormal_area(distance: float, ratio: float = 1.0) -> float:
    """The area under `binormal_roc`: Φ(d/√(1 + r²)). ValueError for ratio ≤ 0.

    >>> binormal_area(0.0)
    0.5
    """
    if ratio <= 0:
        raise ValueError(f"ratio must be positive; got {ratio}")
    return float(norm.cdf(distance / np.sqrt(1 + ratio**2)))


def hull_height(curve: np.ndarray, fpr: float) -> float:
    """The largest TPR at this FPR in the convex hull of a ROC curve (P, 2) of points (FPR, TPR), (0, 0) and (1, 1)
    among them: what thresholds reach that are drawn at random (Provost & Fawcett 2001).

    ValueError for a curve without these two points and FPR outside [0, 1].

    >>> hull_height(np.array([[0.0, 0.0], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]]), 0.25)
    0.5
    """
    points = _curve(curve)
    if not 0 <= fpr <= 1:
        raise ValueError(f"FPR must lie in [0, 1]; got {fpr}")
    hull: list[np.ndarray] = []
    for point in points[np.lexsort((points[:, 1], points[:, 0]))]:
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    upper = np.array(hull)
    exact = upper[upper[:, 0] == fpr, 1]
    return float(exact.max()) if len(exact) else float(np.interp(fpr, upper[:, 0], upper[:, 1]))


def _turns_left(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    """Whether b lies on or below the line from a to c."""
    return bool((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0)


def point_of_ppv(curve: np.ndarray, base_rate: float, ppv: float) -> np.ndarray:
    """The point (FPR, TPR) of a ROC curve (P, 2), thresholds falling, with this PPV, the one of the largest TPR.

    Points of one PPV lie on a line through (0, 0) with slope PPV/(1 − PPV)/odds; between two neighbouring points of
    the curve thresholds are drawn at random. ValueError where no threshold has so large a PPV, for PPV below the
    base rate, which the whole group has, and for PPV = 1, which no line shows.

    >>> point_of_ppv(np.array([[0.0, 0.0], [0.0, 0.5], [1.0, 1.0]]), 0.5, 0.8).round(6).tolist()
    [0.142857, 0.571429]
    """
    if not base_rate < ppv < 1:
        raise ValueError(f"PPV must lie between the base rate {base_rate} and 1; got {ppv}")
    points = _curve(curve)
    above = points[:, 1] - ppv / (1 - ppv) / float(odds(base_rate)) * points[:, 0]
    reached = np.flatnonzero(above > 0)
    if not len(reached):
        raise ValueError(f"no threshold has a PPV of {ppv} in a group with base rate {base_rate}")
    last = reached[-1]  # (1, 1) lies below the line
    share = above[last] / (above[last] - above[last + 1])
    return np.asarray((1 - share) * points[last] + share * points[last + 1])


def equal_ppv_and_fnr(
    curves: Sequence[np.ndarray], base_rates: Sequence[float] | np.ndarray, ppv: float
) -> np.ndarray:
    """(G, 2): a point (FPR, TPR) for each group, all with this PPV and the same TPR, the largest such.

    Each group's `point_of_ppv`, of which all but the one with the least TPR turn away a share of those selected at
    random, which leaves PPV as it is. What then differs between groups, FPR, must: `forced_difference`.
    """
    points = np.array([point_of_ppv(c, p, ppv) for c, p in zip(curves, base_rates, strict=True)])
    return np.asarray(points * (points[:, 1].min() / points[:, 1:]))


def _curve(curve: np.ndarray) -> np.ndarray:
    points = np.asarray(curve, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or points[0].tolist() != [0, 0] or points[-1].tolist() != [1, 1]:
        raise ValueError(f"a ROC curve is (P, 2) from (0, 0) to (1, 1); got the shape {points.shape}")
    return points
