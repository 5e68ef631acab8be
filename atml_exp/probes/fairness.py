"""Fairness between groups of examples: rates by group, and what a definition of fairness compares of them."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["group_rates"]


def group_rates(
    labels: Tensor | ArrayLike, predictions: Tensor | ArrayLike, groups: Tensor | ArrayLike
) -> pd.DataFrame:
    """Rates of a yes-or-no prediction by group; each argument (N,), labels and predictions 0 or 1, 1 the positive.

    A row for each group that occurs, in order, with the columns `count`, `base_rate` P(Y = 1), `tpr`
    P(Ŷ = 1 | Y = 1), `fpr` P(Ŷ = 1 | Y = 0), `fnr` = 1 − tpr and `ppv` P(Y = 1 | Ŷ = 1). A rate that is undefined
    (of a group without positives, without negatives, without predicted positives) is NaN, never 0. ValueError for
    arguments of unequal length or of none, and for other labels and predictions than 0 and 1.

    >>> rates = group_rates([1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1])
    >>> rates[["count", "tpr", "ppv"]].to_dict("list")
    {'count': [4, 2], 'tpr': [0.5, 0.0], 'ppv': [0.5, nan]}
    """
    y, answers, of = _checked(labels, predictions, groups)
    return pd.DataFrame(
        [_rates(y[of == g], answers[of == g]) for g in np.unique(of)], index=pd.Index(np.unique(of), name="group")
    )


def _rates(y: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """A row of `group_rates`."""
    tpr = _mean(answers[y == 1])
    return {
        "count": len(y),
        "base_rate": _mean(y),
        "tpr": tpr,
        "fpr": _mean(answers[y == 0]),
        "fnr": 1 - tpr,
        "ppv": _mean(y[answers == 1]),
    }


def _mean(values: np.ndarray) -> float:
    """NaN of no values."""
    return float(values.mean()) if len(values) else float("nan")


def _checked(labels: object, predictions: object, groups: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All three as int64 arrays (N,)."""
    y, answers, of = (_array(v) for v in (labels, predictions, groups))
    if not len(y) or not y.shape == answers.shape == of.shape == (len(y),):
        raise ValueError(
            f"labels, predictions and groups must be (N,), of one length N ≥ 1; got {y.shape}, {answers.shape} and "
            f"{of.shape}"
        )
    for name, values in (("labels", y), ("predictions", answers)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{name} hold {values[~np.isin(values, (0, 1))][0]}: they must be 0 or 1")
    return y.astype(np.int64), answers.astype(np.int64), of


def _array(values: object) -> np.ndarray:
    return np.atleast_1d(values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values))
