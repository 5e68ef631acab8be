"""ROC curves by group: which pairs of error rates thresholds on a score can reach in each."""

import numpy as np
import torch
from torch import nn

from atml_exp.data import Split, compares_groups, suits
from atml_exp.fields import NonNegativeInt, OpenFraction, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.fairness import interval, scored

__all__ = ["area_under_curve", "group_roc", "roc_points"]


@compares_groups
@suits("binary")
def group_roc(
    model: nn.Module,
    data: Split,
    *,
    threshold: OpenFraction = 0.5,
    draws: PositiveInt = 200,
    level: OpenFraction = 0.95,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """The ROC curve of P(Y = 1 | x) in each group, its area, and the point of one common threshold; float64.

    Arrays: `group` (G,) the groups' numbers; `points` (P, 4), rows (group, threshold, FPR, TPR) of `roc_points`,
    one group after the other; `at_threshold` (G, 2), FPR and TPR of Ŷ = 1 where the score is at least `threshold`;
    `auc`, `auc_low`, `auc_high` (G,), the area and its percentile interval at `level` of `draws` bootstrap samples,
    drawn within groups. `auc_gap`: the largest area less the smallest.

    ValueError as of `atml_exp.probes.fairness.scored`, and where a group has examples of one class only.
    """
    found = scored(model, data)
    rng = np.random.default_rng(seed)
    numbers = np.unique(found.groups)
    each = [(found.scores[found.groups == g], found.labels[found.groups == g]) for g in numbers]
    curves = [roc_points(*of) for of in each]
    areas = np.array([area_under_curve(*of) for of in each])
    low, high = np.transpose([_interval(*of, draws, level, rng) for of in each])
    points = [np.column_stack([np.full(len(c), g), c]) for g, c in zip(numbers, curves, strict=True)]
    single = [[float((s[y == k] >= threshold).mean()) for k in (0, 1)] for s, y in each]
    return {
        "group": torch.from_numpy(numbers),
        "points": torch.from_numpy(np.concatenate(points)),
        "at_threshold": torch.tensor(single, dtype=torch.float64),
        "auc": torch.from_numpy(areas),
        "auc_low": torch.from_numpy(low.copy()),
        "auc_high": torch.from_numpy(high.copy()),
        "auc_gap": float(np.ptp(areas)),
    }


def roc_points(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(P, 3): threshold, FPR and TPR of Ŷ = 1 where the score is at least it, for each score that occurs, falling.

    scores, labels (N,), labels 0 or 1, N ≥ 1. First comes the point (0, 0) of a threshold that no score reaches,
    the largest plus 1; the last is (1, 1). ValueError unless both classes occur.

    >>> roc_points(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 0, 0])).tolist()
    [[1.9, 0.0, 0.0], [0.9, 0.0, 0.5], [0.8, 0.5, 1.0], [0.1, 1.0, 1.0]]
    """
    values, place = _distinct(scores, labels)
    by_class = [np.bincount(place[labels == k], minlength=len(values))[::-1].cumsum() for k in (0, 1)]
    fpr, tpr = (np.concatenate([[0.0], c / c[-1]]) for c in by_class)
    return np.column_stack([np.concatenate([[values[-1] + 1], values[::-1]]), fpr, tpr])


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) of a positive's and a negative's score: the area under `roc_points`.

    >>> area_under_curve(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 0, 0]))
    0.875
    """
    return float(_areas(scores, labels, np.ones((1, len(labels))))[0])


def _areas(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,): areas of examples that count as often as weights (B, N) say; NaN where a class has no weight."""
    order = np.argsort(scores, kind="stable")
    _, place = _distinct(scores, labels)
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    positive, negative = (np.add.reduceat((weights * (labels == k))[:, order], starts, 1) for k in (1, 0))
    below = negative.cumsum(1) - negative / 2
    total = positive.sum(1) * negative.sum(1)
    return np.divide((positive * below).sum(1), total, out=np.full(len(total), np.nan), where=total > 0)


def _interval(
    scores: np.ndarray, labels: np.ndarray, draws: int, level: float, rng: np.random.Generator
) -> tuple[float, float]:
    n = len(labels)
    return interval(_areas(scores, labels, rng.multinomial(n, np.full(n, 1 / n), draws).astype(np.float64)), level)


def _distinct(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores that occur, rising, and the place of each example's among them."""
    if scores.shape != labels.shape or set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"a ROC curve needs labels 0 and 1, both; got {np.unique(labels).tolist()}")
    values, place = np.unique(scores, return_inverse=True)
    return values, place
