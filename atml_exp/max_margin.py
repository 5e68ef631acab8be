"""The hard-margin support vector machine: the separator of the largest margin, with certificate."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog, nnls

__all__ = ["MaxMargin", "degrees_between", "logistic_offset", "max_margin", "max_margin_inf"]


class MaxMargin(NamedTuple):
    """The solution of min ½‖w‖² subject to y_i⟨w, x_i⟩ ≥ 1.

    w (D,). dual (N,): α ≥ 0 with w = Σ α_i y_i x_i, positive for the support vectors; Σα = ‖w‖². margin: 1/‖w‖, the
    largest min_i y_i⟨w, x_i⟩/‖w‖. gap: (½‖w‖² of w, scaled up to be feasible, less the dual's value)/½‖w‖² ≥ 0,
    which bounds how far from the best w is.
    """

    w: np.ndarray
    dual: np.ndarray
    margin: float
    gap: float


def max_margin(x: ArrayLike, y: ArrayLike) -> MaxMargin:
    """argmin ½‖w‖² subject to y_i⟨w, x_i⟩ ≥ 1, through the origin; x (N, D), y (N,) of ±1. Float64.

    A bias is a coordinate of ones in x, and its square then counts in ‖w‖²: this is where gradient descent on the
    logistic loss goes, which takes a bias for a weight (Soudry et al. 2018, §2). sklearn.svm.SVC leaves it out of
    the norm, which is another problem.

    A problem of least distance, solved through non-negative least squares (Lawson & Hanson 1974, Solving least
    squares problems, §23.4), then exactly on the support vectors that it found. ValueError for shapes, for labels
    other than ±1, for values that aren't finite, and for data that no hyperplane through the origin separates.

    >>> found = max_margin([[1.0, 2.0], [1.0, -2.0], [-3.0, 0.0]], [1, 1, -1])
    >>> found.w.round(12).tolist(), round(found.margin, 12)
    ([1.0, 0.0], 1.0)
    """
    signed = _signed(x, y)
    scale = np.linalg.norm(signed, axis=1).max()
    if scale == 0:
        raise ValueError(_INSEPARABLE)
    d = signed.shape[1]
    system = np.vstack([signed.T / scale, np.ones(len(signed))])
    u, residual = nnls(system, np.append(np.zeros(d), 1.0), maxiter=30 * max(system.shape))
    if residual < 1e-7:  # margins below 1e-7 of the largest norm aren't told from none
        raise ValueError(_INSEPARABLE)
    return _polished(signed, u / residual**2 / scale**2)


_INSEPARABLE = "the data aren't separable by a hyperplane through the origin: there is no hard margin"


def _signed(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """y_i x_i (N, D), checked."""
    points, labels = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if points.ndim != 2 or labels.shape != points.shape[:1] or len(points) == 0:
        raise ValueError(f"x must be (N, D) and y (N,) with N ≥ 1; got {points.shape} and {labels.shape}")
    if not np.isin(labels, (-1, 1)).all():
        raise ValueError(f"y holds {labels[~np.isin(labels, (-1, 1))][0]:g}: labels must be 1 or −1")
    if not np.isfinite(points).all():
        raise ValueError("x holds values that aren't finite")
    return labels[:, None] * points


def _polished(signed: np.ndarray, dual: np.ndarray) -> MaxMargin:
    """Solves ⟨w, y_i x_i⟩ = 1 on the support vectors anew, unless a dual turns negative; the better of both."""
    support = dual > 1e-12 * dual.max()
    exact = np.zeros_like(dual)
    exact[support] = np.linalg.lstsq(signed[support] @ signed[support].T, np.ones(support.sum()), rcond=None)[0]
    found = [_certified(signed, a) for a in (dual, exact) if (a >= 0).all()]
    return min(found, key=lambda solution: solution.gap)


def _certified(signed: np.ndarray, dual: np.ndarray) -> MaxMargin:
    """The primal point of a dual one, feasible, and the gap between their values."""
    w = signed.T @ dual
    smallest = (signed @ w).min()
    if smallest <= 0:
        return MaxMargin(w, dual, 0.0, float("inf"))
    w = w / smallest
    lower = 2 * dual.sum() - (signed.T @ dual) @ (signed.T @ dual)  # twice the dual's value
    return MaxMargin(w, dual, float(1 / np.linalg.norm(w)), float(max(0.0, 1 - lower / (w @ w))))


def max_margin_inf(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """argmin ‖w‖_∞ subject to y_i⟨w, x_i⟩ ≥ 1 (D,), a linear programme; where several fit, one of them.

    The direction to which Adam without ε goes (Zhang, Zou & Cao 2024, The implicit bias of Adam on separable data).
    Conventions and ValueErrors as of `max_margin`.

    >>> max_margin_inf([[2.0, 1.0], [2.0, -2.0], [1.0, 1.0]], [1, 1, 1]).round(9).tolist()
    [0.75, 0.25]
    """
    signed = _signed(x, y)
    n, d = signed.shape
    within = np.hstack([np.vstack([np.eye(d), -np.eye(d)]), -np.ones((2 * d, 1))])  # ±w_j ≤ s
    apart = np.hstack([-signed, np.zeros((n, 1))])
    found = linprog(
        np.append(np.zeros(d), 1.0),
        A_ub=np.vstack([apart, within]),
        b_ub=np.append(-np.ones(n), np.zeros(2 * d)),
        bounds=(None, None),
        method="highs",
    )
    if not found.success:
        raise ValueError(_INSEPARABLE)
    return np.asarray(found.x[:d])


def logistic_offset(x: ArrayLike, y: ArrayLike, solution: MaxMargin) -> np.ndarray:
    """w̃ (D,): gradient descent on the mean logistic loss approaches ŵ·log(ηt) + w̃, ŵ = `solution.w`.

    N·α_i·exp(⟨w̃, y_i x_i⟩) = 1 for each support vector i (Soudry et al. 2018, Theorem 4, whose step size is divided
    by N here, since their loss is a sum): then each of them pulls with α_i/(ηt), as d(ŵ log ηt)/d(ηt) asks. Of the
    solutions that of the least norm, in the span of the support vectors: where they span all of ℝ^D, w̃ is this one
    from any start. ValueErrors as of `max_margin`.
    """
    signed = _signed(x, y)
    support = solution.dual > 0
    pulls = -np.log(len(signed) * solution.dual[support])
    return np.asarray(np.linalg.lstsq(signed[support], pulls, rcond=None)[0])


def degrees_between(u: np.ndarray, v: np.ndarray) -> float:
    """The angle between two vectors that aren't 0, in degrees; precise for small ones, unlike the arc cosine.

    >>> round(degrees_between(np.array([1.0, 0.0]), np.array([2.0, 2.0])), 9)
    45.0
    """
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))
