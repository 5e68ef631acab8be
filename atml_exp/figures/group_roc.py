"""ROC curves by group beside the normal distribution's, and the randomised thresholds that equalise odds."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, new_slide, slide
from atml_exp.roc import binormal_area, binormal_roc, hull_height
from atml_exp.runs import Run

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "left: the first seed, training split; AUC: test split, 95 % intervals; right: each seed, and the mean"
LETTERS, COLOURS = "ABCD", (BLUE, VERMILLION, GREEN, PURPLE)
SPLITS = {"train": BLACK, "test": ORANGE}
KINDS = {"before": "one threshold", "expected": "randomised,\nexpected", "sampled": "randomised,\nthrown"}
HARDT = "Hardt et al. 2016"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: ROC curves with the points of decisions. Right: equalised-odds gaps before and after."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    _curves_and_points(left, table.sort_values("seed", kind="stable"))
    _gaps(right, table)
    return figure


def _curves_and_points(axes: Axes, table: pd.DataFrame) -> None:
    directory, fpr = _directories(table)[0], np.linspace(0, 1, 400)
    single = _array(directory, "group_roc_train/at_threshold")
    for g, (curve, colour) in enumerate(zip(_roc(directory), COLOURS, strict=False)):
        area, low, high = (_array(directory, f"group_roc/{name}")[g] for name in ("auc", "auc_low", "auc_high"))
        axes.plot(*curve.T, color=colour, label=f"group {LETTERS[g]}: AUC {area:.2f} ({low:.2f}–{high:.2f})")
        axes.plot(fpr, binormal_roc(fpr, _distances(table)[g]), "--", color=BLACK, linewidth=1.6)
        axes.plot(*single[g], "o", color=colour, markeredgecolor="white", markersize=12, zorder=4)
    point = _array(directory, "threshold_optimiser/train_rates_expected")[0, 1:]
    axes.plot(*point, "*", color=BLACK, markeredgecolor="white", markersize=22, zorder=5, linestyle="none")
    axes.plot([], [], "--", color=BLACK, linewidth=1.6, label="theory: two normals")
    axes.plot([], [], "o", color=BLACK, markersize=10, label="one threshold for all")
    axes.plot([], [], "*", color=BLACK, markersize=16, label="equalised odds")
    axes.set_xlabel("FPR")
    axes.set_ylabel("TPR")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_title("each group's ROC curve")
    axes.legend(loc="lower right")


def _gaps(axes: Axes, table: pd.DataFrame) -> None:
    for shift, (split, colour) in zip((-0.14, 0.14), SPLITS.items(), strict=True):
        for place, kind in enumerate(KINDS):
            values = _values(table, f"{split}_gap_{kind}")["value"].to_numpy()
            spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(1)
            name = {"train": "training split, fitted to", "test": "test split"}[split] if place == 0 else None
            axes.plot(place + shift + spread, values, "o", color=colour, alpha=0.6, markersize=7, label=name)
            axes.hlines(values.mean(), place + shift - 0.11, place + shift + 0.11, color=colour, linewidth=3)
    axes.set_xticks(range(len(KINDS)), list(KINDS.values()))
    axes.set_xlim(-0.5, len(KINDS) - 0.5)
    axes.set_ylim(-0.005, None)
    axes.set_ylabel("equalised-odds gap")
    axes.set_title("max(|ΔTPR|, |ΔFPR|)")
    axes.legend(loc="upper right")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Areas in closed form; the gap in expectation, thrown, and elsewhere; where the common point lies."""
    return [
        Claim(
            "theory",
            r"test AUC in each group is $Φ(d/√2)$ (largest deviation over seeds and groups in s.e.)",
            (_largest(table, lambda t: _area_deviation(_directories(t)[0], _distances(t))),),
            "<=",
            4,
        ),
        Claim(
            HARDT,
            "the expected gap is 0 where it was fitted (bound ours)",
            by_seed(_values(table, "train_gap_expected"), lambda t: float(t["value"].max())),
            "<=",
            1e-6,
        ),
        Claim(
            HARDT,
            "thrown, TPR and FPR differ between groups by chance only (largest difference in s.e.)",
            (_largest(table, lambda t: _thrown(_directories(t)[0])),),
            "<=",
            4,
        ),
        Claim(
            HARDT,
            "the common point is on the edge of the hulls' intersection (bound ours)",
            by_seed(table, lambda t: _from_edge(_directories(t)[0])),
            "<=",
            1e-6,
        ),
        Claim(
            HARDT,
            "the gap shrinks on the test split too (expected, over that of one threshold)",
            by_seed(table, lambda t: _last(t, "test_gap_expected") / _last(t, "test_gap_before")),
            "<=",
            1,
        ),
        Claim(
            HARDT,
            "and accuracy doesn't rise with it (test, expected less that of one threshold)",
            by_seed(table, lambda t: 100 * (_last(t, "test_accuracy_expected") - _last(t, "test_accuracy_before"))),
            "<=",
            0,
            "%",
        ),
    ]


def _largest(table: pd.DataFrame, quantity: Callable[[pd.DataFrame], float]) -> float:
    return max(by_seed(table, quantity), default=float("nan"))


def _area_deviation(directory: str, distances: np.ndarray) -> float:
    """Of the bootstrap's intervals at 95 %, which are 2 · 1.96 standard errors wide."""
    area, low, high = (_array(directory, f"group_roc/{name}") for name in ("auc", "auc_low", "auc_high"))
    theory = np.array([binormal_area(d) for d in distances])
    return float((np.abs(area - theory) / ((high - low) / (2 * 1.96))).max())


def _thrown(directory: str) -> float:
    """Largest |difference| of the last and the first group's thrown FPR or TPR where fitted, in standard errors."""
    rates, error = (_array(directory, f"threshold_optimiser/train_rates_{k}")[:, 1:] for k in ("sampled", "error"))
    return float((np.abs(rates[-1] - rates[0]) / np.hypot(error[-1], error[0])).max())


def _from_edge(directory: str) -> float:
    fpr, tpr = _array(directory, "threshold_optimiser/train_rates_expected")[0, 1:]
    return float(abs(min(hull_height(curve, float(np.clip(fpr, 0, 1))) for curve in _roc(directory)) - tpr))


def _distances(table: pd.DataFrame) -> np.ndarray:
    """d of each group: the distance of its classes' mean scores in standard deviations."""
    return np.array(json.loads(table["dataset.separations"].iloc[0]), dtype=float)


def _roc(directory: str) -> list[np.ndarray]:
    """(FPR, TPR) of each group on the training split."""
    points = _array(directory, "group_roc_train/points")
    return [points[points[:, 0] == g, 2:] for g in np.unique(points[:, 0])]


def _values(table: pd.DataFrame, key: str) -> pd.DataFrame:
    return last_values(rows(table, f"threshold_optimiser/{key}"))


def _last(table: pd.DataFrame, key: str) -> float:
    return float(_values(table, key)["value"].iloc[0])


def _directories(table: pd.DataFrame) -> list[str]:
    return [str(d) for d in dict.fromkeys(table["directory"])]


def _array(directory: str, name: str) -> np.ndarray:
    return np.asarray(Run(directory).array(name)[1][-1])
