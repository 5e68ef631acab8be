"""The best accuracy at a given unfairness, of groups whose signal is normal in each class; and what any must pay.

Group g has the share w_g, the base rate p_g = P(Y = 1), and a signal that is N(±d_g/2, 1), + where Y = 1: what
`atml_exp.datasets.binormal_groups` draws. Everything is of the distribution, not of a sample. In numpy.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.special import ndtr

from atml_exp.impossibility import odds

__all__ = ["bayes_rates", "equalised_odds_frontier", "error_bound", "parity_frontier", "selection_accuracy"]


def bayes_rates(base_rate: float, distance: float) -> tuple[float, float]:
    """(FPR, TPR) of the most accurate decision in a group: signal > t with t = −log(p/(1 − p))/d, d > 0.

    TPR = Φ(d/2 − t), FPR = Φ(−d/2 − t): the point of the ROC curve with slope (1 − p)/p.

    >>> [round(rate, 6) for rate in bayes_rates(0.5, 2.0)]
    [0.158655, 0.841345]
    """
    t = -np.log(float(odds(base_rate))) / _positive(distance)
    return float(ndtr(-distance / 2 - t)), float(ndtr(distance / 2 - t))


def selection_accuracy(selection: ArrayLike, base_rate: float, distance: float) -> np.ndarray:
    """The best accuracy in a group of which the share `selection` is predicted positive: a threshold is.

    P(signal > t) = s fixes t, and accuracy is p·TPR + (1 − p)(1 − FPR): concave in s, with the
    derivative 2P(Y = 1 | t) − 1.

    >>> selection_accuracy([0.0, 0.5, 1.0], 0.5, 2.0).round(6).tolist()
    [0.5, 0.841345, 0.5]
    """
    s = np.asarray(selection, dtype=np.float64)
    t = _threshold(s, base_rate, _positive(distance))
    tpr, fpr = _above(t - distance / 2), _above(t + distance / 2)
    return np.asarray(base_rate * tpr + (1 - base_rate) * (1 - fpr))


def _threshold(selection: np.ndarray, base_rate: float, distance: float) -> np.ndarray:
    """By bisection, to rounding; ±40 for 0 and 1."""
    low, high = np.full(selection.shape, -40.0), np.full(selection.shape, 40.0)
    for _ in range(70):
        t = (low + high) / 2
        above = base_rate * _above(t - distance / 2) + (1 - base_rate) * _above(t + distance / 2) > selection
        low, high = np.where(above, t, low), np.where(above, high, t)
    return np.asarray((low + high) / 2)


def parity_frontier(
    gaps: ArrayLike,
    base_rates: Sequence[float] | np.ndarray,
    distances: Sequence[float] | np.ndarray,
    shares: Sequence[float] | np.ndarray | None = None,
) -> np.ndarray:
    """The best accuracy, for each of the gaps δ ≥ 0 in demographic parity: max_g P(Ŷ = 1 | g) − min_g … ≤ δ.

    The decision may use signal and group: a threshold for each group (Corbett-Davies, Pierson, Feller, Goel & Huq
    2017, Theorem 3.2; Menon & Williamson 2018). Selection rates are the unconstrained ones clipped to [c, c + δ],
    as accuracy is concave in them, and c is the best. shares: of the groups, equal by default.

    >>> parity_frontier([0.0, 1.0], [0.3, 0.3], [2.0, 2.0]).round(4).tolist()
    [0.8613, 0.8613]
    """
    p, d, w = _groups(base_rates, distances, shares)
    free = np.array([_selected(a, b) for a, b in zip(p, d, strict=True)])

    def accuracy(c: np.ndarray, gap: float) -> np.ndarray:
        chosen = np.clip(free[:, None], c, c + gap)
        return np.sum([w[g] * selection_accuracy(chosen[g], p[g], d[g]) for g in range(len(p))], axis=0)

    def best(gap: float) -> float:
        low, high = free.min(), max(free.min(), free.max() - gap)
        for _ in range(3):  # concave in c: the best of a grid, then of a finer one around it
            grid = np.linspace(low, high, 41)
            values = accuracy(grid, gap)
            at = int(values.argmax())
            low, high = grid[max(at - 1, 0)], grid[min(at + 1, 40)]
        return float(values.max())

    return np.array([best(float(gap)) for gap in np.atleast_1d(np.asarray(gaps, dtype=np.float64))])


def _selected(base_rate: float, distance: float) -> float:
    fpr, tpr = bayes_rates(base_rate, distance)
    return base_rate * tpr + (1 - base_rate) * fpr


def equalised_odds_frontier(
    gaps: ArrayLike,
    base_rates: Sequence[float] | np.ndarray,
    distances: Sequence[float] | np.ndarray,
    shares: Sequence[float] | np.ndarray | None = None,
    tangents: int = 400,
) -> np.ndarray:
    """The best accuracy for each of the gaps δ ≥ 0 in equalised odds: TPR and FPR of any two groups differ by ≤ δ.

    Each group's (FPR, TPR) lies between its ROC curve and the diagonal, every such point a mixture of thresholds
    (Hardt, Price & Srebro 2016); a linear programme, with the concave curve given by so many tangents, whose error
    is below 1e-4 and upwards. shares: of the groups, equal by default.

    >>> equalised_odds_frontier([0.0], [0.3, 0.3], [2.0, 2.0]).round(3).tolist()
    [0.861]
    """
    p, d, w = _groups(base_rates, distances, shares)
    number = len(p)
    cost = np.column_stack([w * (1 - p), -w * p]).ravel()  # of (FPR, TPR) by group: error less w·p
    rows, limits = _under_the_curves(d, tangents)
    pairs = [(i, j, k) for k in (0, 1) for i in range(number) for j in range(number) if i != j]
    differences = np.zeros((len(pairs), 2 * number))
    for row, (i, j, k) in zip(differences, pairs, strict=True):
        row[2 * i + k], row[2 * j + k] = 1, -1

    def best(gap: float) -> float:
        found = linprog(
            cost,
            np.concatenate([rows, differences]),
            np.concatenate([limits, np.full(len(pairs), gap)]),
            bounds=(0, 1),
        )
        return 1 - float(found.fun) - float(w @ p)

    return np.array([best(float(gap)) for gap in np.atleast_1d(np.asarray(gaps, dtype=np.float64))])


def _under_the_curves(distances: np.ndarray, tangents: int) -> tuple[np.ndarray, np.ndarray]:
    """a·(FPR, TPR) ≤ b: below each group's tangents; being below the diagonal never pays."""
    t = np.linspace(-6, 6, tangents)
    rows, limits = [], []
    for g, d in enumerate(distances):
        fpr, tpr = _above(t + d / 2), _above(t - d / 2)
        slope = np.exp(d * t)  # the likelihood ratio
        scale = 1 + slope
        block = np.zeros((tangents, 2 * len(distances)))
        block[:, 2 * g], block[:, 2 * g + 1] = -slope / scale, 1 / scale
        rows.append(block)
        limits.append((tpr - slope * fpr) / scale)
    return np.concatenate(rows), np.concatenate(limits)


def error_bound(base_rates: Sequence[float] | np.ndarray, gap: ArrayLike) -> np.ndarray:
    """err_a + err_b ≥ |p_a − p_b| − gap: the errors of two groups together, at this gap in demographic parity.

    |P(Ŷ = 1) − P(Y = 1)| is at most a group's error, whatever the prediction; of gap 0 it is Zhao & Gordon (2019),
    Inherent tradeoffs in learning fair representations, Theorem 3.1. ValueError unless there are two base rates.

    >>> round(float(error_bound((0.3, 0.5), 0.05)), 12)
    0.15
    """
    if len(base_rates) != 2:
        raise ValueError(f"the bound is for two base rates; got {len(base_rates)}")
    return np.maximum(abs(base_rates[0] - base_rates[1]) - np.asarray(gap, dtype=np.float64), 0.0)


def _above(t: np.ndarray) -> np.ndarray:
    """P(N(0, 1) > t)."""
    return np.asarray(ndtr(-t))


def _positive(distance: float) -> float:
    if not distance > 0:
        raise ValueError(f"the distance of the classes must be positive; got {distance}")
    return distance


def _groups(
    base_rates: Sequence[float] | np.ndarray,
    distances: Sequence[float] | np.ndarray,
    shares: Sequence[float] | np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, d = np.asarray(base_rates, dtype=np.float64), np.asarray(distances, dtype=np.float64)
    w = np.ones(len(p)) if shares is None else np.asarray(shares, dtype=np.float64)
    if not len(p) == len(d) == len(w) or len(p) < 2:
        raise ValueError(
            f"as many distances and shares as base rates, two or more: got {len(d)}, {len(w)}, {len(p)}"
        )
    return p, d, w / w.sum()
