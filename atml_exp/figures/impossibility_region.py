"""What base rates allow: FPR against PPV by group, and the FPR that equal PPV and FNR force apart."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, new_slide, slide
from atml_exp.impossibility import false_positive_rate, forced_difference, negative_balance
from atml_exp.roc import equal_ppv_and_fnr
from atml_exp.runs import Run

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "left: each seed's model at one threshold for all, small: at all thresholds; right: each seed"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
PPV = 0.8
"""The one that all groups are given, in the right panel and in the claim of the forced difference."""
EXACT = 1e-12
SMALL: dict[str, Any] = {"marker": ".", "linestyle": "none", "markersize": 3, "alpha": 0.25, "zorder": 1}
LARGE: dict[str, Any] = {"marker": "o", "linestyle": "none", "markeredgecolor": "white", "zorder": 4}
PAPER = "Chouldechova 2017"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: FPR/TPR against PPV, a curve for each base rate. Right: FPR against FNR at one PPV."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    base = _base_rates(table)
    _surface(left, table, base)
    _at_one_ppv(right, table, base)
    return figure


def _surface(axes: Axes, table: pd.DataFrame, base: np.ndarray) -> None:
    """At a group's base rate the quotient FPR/TPR is a function of PPV alone."""
    ppv = np.linspace(0.3, 1, 200)
    for g, (p, colour) in enumerate(zip(base, COLOURS, strict=False)):
        axes.plot(ppv, false_positive_rate(p, ppv, 0.0), color=colour, label=f"base rate {100 * p:.0f} %")
        for directory in _directories(table):
            for rates_of, look in ((_at_thresholds, SMALL), (_at_one_threshold, LARGE)):
                at = rates_of(directory, g)
                axes.plot(at["ppv"], at["fpr"] / (1 - at["fnr"]), **look, color=colour)
    axes.axvline(PPV, color=GREY, linewidth=1.5, linestyle=":")
    axes.set_xlim(ppv[0], 1.01)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(r"PPV, $P(Y=1 \mid \hat{Y}=1)$")
    axes.set_ylabel("FPR / TPR")
    axes.set_title("each group has its own curve")
    axes.legend(loc="upper right")


def _at_one_ppv(axes: Axes, table: pd.DataFrame, base: np.ndarray) -> None:
    fnr = np.linspace(0, 1, 50)
    for g, (p, colour) in enumerate(zip(base, COLOURS, strict=False)):
        axes.plot(fnr, false_positive_rate(p, PPV, fnr), color=colour)
        points = np.array([_matched(d)[g] for d in _directories(table)])
        axes.plot(1 - points[:, 1], points[:, 0], **LARGE, color=colour)
    middle = float(np.mean([1 - _matched(d)[0, 1] for d in _directories(table)]))
    low, high = sorted(false_positive_rate(base[[0, -1]], PPV, middle))
    axes.annotate(
        "", (middle, low), (middle, high), arrowprops={"arrowstyle": "<->", "color": BLACK, "linewidth": 1.8}
    )
    axes.text(
        middle - 0.02, (low + high) / 2, f"forced apart\nby {high - low:.3f}", va="center", ha="right", fontsize=15
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.set_xlabel(r"FNR, $P(\hat{Y}=0 \mid Y=1)$")
    axes.set_ylabel(r"FPR, $P(\hat{Y}=1 \mid Y=0)$")
    axes.set_title(f"all groups at PPV = {PPV:g} and one FNR")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Three identities, true of any model by construction, as checks of the code; what equal PPV and FNR cost."""
    return [
        Claim(
            PAPER,
            r"identity: FPR = p/(1 − p) · (1 − PPV)/PPV · (1 − FNR) at all thresholds (rounding; bound ours)",
            by_seed(table, lambda t: _each(t, lambda d: _deviation(d, _at_thresholds))),
            "<=",
            EXACT,
        ),
        Claim(
            PAPER,
            "identity: the model's own decisions lie on it, by their counts (rounding; bound ours)",
            by_seed(table, lambda t: _each(t, lambda d: _deviation(d, _at_one_threshold))),
            "<=",
            EXACT,
        ),
        Claim(
            PAPER,
            f"at PPV {PPV:g} and equal FNR, FPR differs as the base rates say (largest deviation in s.e.)",
            (max(by_seed(table, lambda t: _each(t, lambda d: _forced(d, _base_rates(t)))), default=float("nan")),),
            "<=",
            4,
        ),
        Claim(
            "Kleinberg et al. 2016",
            "identity: (1 − p) E[s|0] = p (1 − E[s|1]) + E[s] − p, so balance needs one p (rounding; bound ours)",
            by_seed(table, lambda t: _each(t, _balance_deviation)),
            "<=",
            EXACT,
        ),
    ]


def _each(table: pd.DataFrame, quantity: Callable[[str], float]) -> float:
    return max(quantity(d) for d in _directories(table))


def _directories(table: pd.DataFrame) -> list[str]:
    return [str(d) for d in dict.fromkeys(table["directory"])]


def _base_rates(table: pd.DataFrame) -> np.ndarray:
    """The population's, by group."""
    return np.array(json.loads(table["dataset.base_rates"].iloc[0]), dtype=float)


def _array(directory: str, name: str) -> np.ndarray:
    return np.asarray(Run(directory).array(name)[1][-1])


def _curves(directory: str) -> list[np.ndarray]:
    """(FPR, TPR) of each group's ROC curve."""
    points = _array(directory, "group_roc/points")
    return [points[points[:, 0] == g, 2:] for g in np.unique(points[:, 0])]


def _at_thresholds(directory: str, g: int) -> dict[str, np.ndarray]:
    """Rates of group g at each threshold that finds a positive; PPV from counts, which are whole numbers."""
    curve, tp_fp_fn_tn = _curves(directory)[g], _array(directory, "fairness/confusion")[g]
    positives, negatives = tp_fp_fn_tn[[0, 2]].sum(), tp_fp_fn_tn[[1, 3]].sum()
    true, false = np.rint(curve[:, 1] * positives), np.rint(curve[:, 0] * negatives)
    some = true > 0
    rates = {"fpr": curve[:, 0], "fnr": 1 - curve[:, 1], "ppv": true / np.maximum(true + false, 1)}
    return {name: values[some] for name, values in rates.items()}


def _at_one_threshold(directory: str, g: int) -> dict[str, np.ndarray]:
    """Rates of group g under the one threshold for all."""
    tp, fp, fn, tn = _array(directory, "fairness/confusion")[g]
    return {"fpr": fp / (fp + tn), "fnr": fn / (tp + fn), "ppv": tp / (tp + fp)}


def _deviation(directory: str, rates_of: Callable[[str, int], dict[str, np.ndarray]]) -> float:
    """Largest |FPR − formula| over groups."""
    found = []
    for g, p in enumerate(_array(directory, "fairness/base_rate")):
        rates = rates_of(directory, g)
        found.append(np.abs(rates["fpr"] - false_positive_rate(p, rates["ppv"], rates["fnr"])).max())
    return float(max(found))


def _matched(directory: str) -> np.ndarray:
    """(G, 2): FPR and TPR of predictors with one PPV and one FNR, from the model's scores."""
    return equal_ppv_and_fnr(_curves(directory), _array(directory, "fairness/base_rate"), PPV)


def _forced(directory: str, base: np.ndarray) -> float:
    """|measured − formula| for the last group's FPR less the first's, in standard errors of the sample's odds."""
    points, count = _matched(directory)[[0, -1]], _array(directory, "fairness/count")[[0, -1]]
    p = base[[0, -1]]
    formula = forced_difference(p, PPV, 1 - points[0, 1])
    factor = (1 - PPV) / PPV * points[0, 1]
    error = factor * np.sqrt((p / (count * (1 - p) ** 3)).sum())  # delta method: d odds/dp = 1/(1 − p)²
    return float(abs(points[1, 0] - points[0, 0] - formula) / error)


def _balance_deviation(directory: str) -> float:
    """Largest |E[s|0] − (E[s] − p E[s|1])/(1 − p)|: `negative_balance`, for a mean that isn't the base rate."""
    names = ("base_rate", "mean_score", "positive_mean", "negative_mean")
    p, mean, positive, negative = (_array(directory, f"fairness/{name}") for name in names)
    return float(np.abs(negative - negative_balance(p, positive) - (mean - p) / (1 - p)).max())
