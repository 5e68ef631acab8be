"""Minority collapse: with enough imbalance the classifier can't tell rare classes apart (Fang et al. 2021)."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.panels import each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run
from atml_exp.unconstrained import classifier_cosines, minority_merges

__all__ = ["claims", "draw"]

RATIO = "dataset.wrapper.class_imbalance.ratio"
DECAY, PER_CLASS = "optimiser.weight_decay", "dataset.per_class"
FREE, NET = "unconstrained", "digits"
FANG = "Fang et al. 2021"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Mean cosine among the frequent and among the rare classes' classifiers; left free features, middle a net."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    free, net = (table[table["sweep"] == name] for name in (FREE, NET))
    if len(free):
        _theory(left, free)
        _measured(left, free)
    if len(net):
        _measured(middle, net)
        _errors(right, net)
    left.set_title("free features (black: theory)")
    middle.set_title("digits")
    left.set_ylabel("mean cosine of classifiers")
    for axes in (left, middle, right):
        axes.set_xlabel("frequent to rare examples")
    return figure


def _measured(axes: Axes, part: pd.DataFrame) -> None:
    cosines = _cosines(part)
    labels = {}
    for key, label, colour in (("rare", "rare", VERMILLION), ("frequent", "frequent", BLUE)):
        grouped = cosines.groupby("ratio")[key]
        at, mean = np.asarray(grouped.mean().index, dtype=float), grouped.mean().to_numpy()
        axes.plot(at, mean, "o-" if part["sweep"].iloc[0] == NET else "o", color=colour)
        axes.fill_between(at, grouped.min(), grouped.max(), color=colour, alpha=0.22, linewidth=0)
        labels[label] = (float(mean[-1]), colour)
    log_axis(axes, "x")
    axes.set_ylim(-0.6, 1.05)
    label_lines(axes, labels, size=15)


def _theory(axes: Axes, free: pd.DataFrame) -> None:
    """At each size that the rare classes can have."""
    first = free.iloc[0]
    full, classes = int(first[PER_CLASS]), int(first["num_classes"])
    sizes = [n for n in range(full, 0, -1) if full / n <= free[RATIO].max()]
    found = [_in_theory(full, n, classes, float(first[DECAY])) for n in sizes]
    for column in (0, 1):
        axes.plot([full / n for n in sizes], [row[column] for row in found], color=BLACK, linewidth=1.8, zorder=1)


def _errors(axes: Axes, net: pd.DataFrame) -> None:
    last = last_values(rows(net, "test/error")).groupby(RATIO)["value"]
    at, mean = np.asarray(last.mean().index, dtype=float), 100 * last.mean().to_numpy()
    axes.plot(at, mean, "o-", color=GREY)
    axes.fill_between(at, 100 * last.min(), 100 * last.max(), color=GREY, alpha=0.22, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_title("test error, balanced (%)")
    log_axis(axes, "x")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Of the free features against theory, of the net by direction."""
    free, net = (table[table["sweep"] == name] for name in (FREE, NET))
    return [
        Claim(
            FANG,
            "free features: beyond a ratio the rare classes merge (least mean cosine; bound ours)",
            by_seed(free, lambda t: float(_cosines(t[_merged(t)])["rare"].min())),
            ">=",
            0.99,
        ),
        Claim(
            "Zhu et al. 2021; Hong & Ling 2023",
            "free features: at each ratio the angles are theory's (largest difference of cosines; bound ours)",
            by_seed(free, _deviation),
            "<=",
            0.01,
        ),
        Claim(
            FANG,
            r"digits: the rarer, the closer the rare classes (Kendall's $τ$ of ratio and mean cosine; 1: at each)",
            by_seed(net, lambda t: kendall(_cosines(t).rename(columns={"rare": "value"}), "ratio")),
            ">=",
            1.0,
        ),
        Claim(
            FANG,
            "digits: at the largest ratio they are closer than the frequent ones (difference of mean cosines)",
            by_seed(net, _rare_less_frequent),
            ">=",
            0.0,
        ),
        Claim(
            FANG,
            "digits: the rarer, the more test errors on balanced data ($τ$ of ratio and error; 1: at each)",
            by_seed(last_values(rows(net, "test/error")), lambda t: kendall(t, RATIO)),
            ">=",
            1.0,
        ),
    ]


def _cosines(part: pd.DataFrame) -> pd.DataFrame:
    """For each run its `ratio` and the mean cosines at the end among `rare` and among `frequent` classes."""
    found = []
    for directory, runs in part.groupby("directory", observed=True):
        last = np.asarray(Run(str(directory)).array("neural_collapse/cosines_weights")[1][-1], dtype=float)
        half = len(last) // 2
        found.append(
            {"ratio": runs[RATIO].iloc[0], "frequent": _mean(last[:half, :half]), "rare": _mean(last[half:, half:])}
        )
    return pd.DataFrame(found).sort_values("ratio", kind="stable")


def _mean(square: np.ndarray) -> float:
    """Off the diagonal."""
    return float(square[~np.eye(len(square), dtype=bool)].mean())


def _rare_size(full: int, ratio: float) -> int:
    return round(full / ratio)


def _merged(table: pd.DataFrame) -> pd.Series:
    """Which rows are of runs whose rare classes merge in theory."""
    sizes = [(int(f), _rare_size(int(f), r)) for f, r in zip(table[PER_CLASS], table[RATIO], strict=True)]
    half = table["num_classes"] // 2
    totals = [h * f + (c - h) * n for h, c, (f, n) in zip(half, table["num_classes"], sizes, strict=True)]
    merges = [minority_merges(n, int(t), d) for (_, n), t, d in zip(sizes, totals, table[DECAY], strict=True)]
    return pd.Series(merges, index=table.index)


def _in_theory(full: int, rare: int, classes: int, decay: float) -> tuple[float, float]:
    """Mean cosines among the frequent and among the rare classes."""
    half = classes // 2
    found = classifier_cosines([full] * half + [rare] * (classes - half), decay)
    return _mean(found[:half, :half]), _mean(found[half:, half:])


def _deviation(table: pd.DataFrame) -> float:
    worst = 0.0
    for ratio, runs in each(table, RATIO):
        first = runs.iloc[0]
        full, measured = int(first[PER_CLASS]), _cosines(runs).iloc[0]
        theory = _in_theory(full, _rare_size(full, ratio), int(first["num_classes"]), float(first[DECAY]))
        worst = max(worst, abs(measured["frequent"] - theory[0]), abs(measured["rare"] - theory[1]))
    return worst if math.isfinite(worst) else math.nan


def _rare_less_frequent(table: pd.DataFrame) -> float:
    last = _cosines(table).iloc[-1]
    return float(last["rare"] - last["frequent"])
