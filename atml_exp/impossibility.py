"""Which definitions of fairness can hold at once: identities between base rate and error rates, in closed form.

Chouldechova (2017), Fair prediction with disparate impact; Kleinberg, Mullainathan & Raghavan (2016), Inherent
trade-offs in the fair determination of risk scores. Rates are fractions in [0, 1] and broadcast as numpy arrays do:
p = P(Y = 1) the base rate of a group, FPR = P(Ŷ = 1 | Y = 0), FNR = P(Ŷ = 0 | Y = 1), PPV = P(Y = 1 | Ŷ = 1).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "false_positive_rate",
    "forced_difference",
    "imperfection_bound",
    "negative_balance",
    "odds",
    "positive_predictive_value",
]


def odds(base_rate: ArrayLike) -> np.ndarray:
    """p/(1 − p). ValueError unless 0 < p < 1: in a group of one class nothing is to be predicted.

    >>> float(odds(0.75))
    3.0
    """
    p = np.asarray(base_rate, dtype=np.float64)
    if not ((p > 0) & (p < 1)).all():
        raise ValueError(f"base rates must lie between 0 and 1, both excluded; got {p.tolist()}")
    return np.asarray(p / (1 - p))


def false_positive_rate(base_rate: ArrayLike, ppv: ArrayLike, fnr: ArrayLike) -> np.ndarray:
    """FPR = p/(1 − p) · (1 − PPV)/PPV · (1 − FNR): exact, for every confusion matrix (Chouldechova 2017, eq. 2.6).

    It is Bayes' rule: PPV = p·TPR/(p·TPR + (1 − p)·FPR). A value above 1 says that no prediction of a group with
    this base rate has this PPV and FNR. ValueError for PPV outside (0, 1] and FNR outside [0, 1].

    >>> round(float(false_positive_rate(0.5, 0.8, 0.2)), 12)
    0.2
    """
    precision, missed = np.asarray(ppv, dtype=np.float64), _rate(fnr, "FNR")
    if not ((precision > 0) & (precision <= 1)).all():
        raise ValueError(f"PPV must lie in (0, 1]; got {precision.tolist()}")
    return np.asarray(odds(base_rate) * (1 - precision) / precision * (1 - missed))


def positive_predictive_value(base_rate: ArrayLike, fpr: ArrayLike, fnr: ArrayLike) -> np.ndarray:
    """PPV = p·TPR/(p·TPR + (1 − p)·FPR), the same identity solved for PPV: the surface in (FPR, FNR, PPV).

    NaN where nobody is predicted positive: PPV is undefined then.

    >>> round(float(positive_predictive_value(0.5, 0.2, 0.2)), 12)
    0.8
    """
    positives = odds(base_rate) * (1 - _rate(fnr, "FNR"))
    total = positives + _rate(fpr, "FPR")
    return np.divide(positives, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def forced_difference(base_rates: Sequence[float] | np.ndarray, ppv: ArrayLike, fnr: ArrayLike) -> np.ndarray:
    """FPR_b − FPR_a = (odds_b − odds_a) · (1 − PPV)/PPV · (1 − FNR) for base rates (p_a, p_b) at equal PPV and FNR.

    0 only where base rates are equal, where every predicted positive is one (PPV = 1) or where nobody is (FNR = 1).
    ValueError unless there are two base rates.

    >>> round(float(forced_difference((0.2, 0.5), 0.8, 0.2)), 12)
    0.15
    """
    if len(base_rates) != 2:
        raise ValueError(f"a difference is of two base rates; got {len(base_rates)}")
    a, b = base_rates
    return np.asarray(false_positive_rate(b, ppv, fnr) - false_positive_rate(a, ppv, fnr))


def negative_balance(base_rate: ArrayLike, positive_mean: ArrayLike) -> np.ndarray:
    """E[s | Y = 0] = p/(1 − p) · (1 − E[s | Y = 1]) of a score s that is right on average, E[s] = p.

    A calibrated score is. Balance for both classes puts all groups at one point (E[s | Y = 1], E[s | Y = 0]), and
    the lines of unequal base rates meet in (1, 0) alone, which is perfect prediction (Kleinberg et al. 2016,
    Theorem 1.1).

    >>> float(negative_balance(0.5, 0.75)), float(negative_balance(0.2, 1.0))
    (0.25, 0.0)
    """
    return np.asarray(odds(base_rate) * (1 - _rate(positive_mean, "E[s | Y = 1]")))


def imperfection_bound(
    base_rates: Sequence[float] | np.ndarray, positive_gap: float, negative_gap: float
) -> tuple[float, float]:
    """For groups (a, b) how far E[s | Y = 1] may be from 1: at most (δ₋ + odds_other · δ₊)/|odds_a − odds_b|.

    Of a score with E[s] = p in each group whose class means differ by δ₊ (positives) and δ₋ (negatives): nearly
    balanced is nearly perfect. From `negative_balance` by the triangle inequality. Infinite for equal base rates,
    which ask for nothing. ValueError unless there are two base rates.

    >>> imperfection_bound((0.2, 0.5), 0.0, 0.0), imperfection_bound((0.3, 0.3), 0.0, 0.0)
    ((0.0, 0.0), (inf, inf))
    """
    if len(base_rates) != 2:
        raise ValueError(f"the bound is for two base rates; got {len(base_rates)}")
    a, b = (float(o) for o in odds(base_rates))
    if a == b:
        return float("inf"), float("inf")
    return (negative_gap + b * positive_gap) / abs(a - b), (negative_gap + a * positive_gap) / abs(a - b)


def _rate(values: ArrayLike, name: str) -> np.ndarray:
    rate = np.asarray(values, dtype=np.float64)
    if not ((rate >= 0) & (rate <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1]; got {rate.tolist()}")
    return rate
