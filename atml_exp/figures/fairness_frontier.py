"""Accuracy against gaps between groups: penalty, reweighing, reductions and thresholds, below theory's frontier."""

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.fair_frontier import equalised_odds_frontier, parity_frontier
from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.panels import each, last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, new_slide, slide

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "mean over seeds, bars of one standard deviation; gaps and accuracies of the test split"
PARITY, ODDS = "demographic_parity", "equalised_odds"
PENALTY = {PARITY: "penalty, parity", ODDS: "penalty, odds"}
REDUCTIONS = {PARITY: "reductions, parity", ODDS: "reductions, odds"}
REWEIGHING = "reweighing"
STRENGTH, EPS = "loss.strength", "probe.exponentiated_gradient.fn.eps"
RATES, DISTANCES, TESTED = "dataset.base_rates", "dataset.separations", "dataset.num_test"
FRONTIERS: dict[str, Callable[..., np.ndarray]] = {PARITY: parity_frontier, ODDS: equalised_odds_frontier}
NAMES = {PARITY: "demographic parity: gap in $P(Ŷ=1)$ (%)", ODDS: "equalised odds: gap in TPR, FPR (%)"}


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: against the gap in demographic parity; right: against that in equalised odds."""
    figure = new_slide()
    for axes, kind in zip(figure.subplots(1, 2), (PARITY, ODDS), strict=True):
        _frontier(axes, table, kind)
        for label, colour, marker, points in _drawn(table, kind):
            _cloud(axes, points, colour, marker, label)
        axes.set_xlabel(NAMES[kind])
        axes.set_ylabel("accuracy (%)")
        axes.set_xlim(-1.5, None)
        axes.legend(loc="lower right", handletextpad=0.3)
    return figure


def _frontier(axes: Axes, table: pd.DataFrame, kind: str) -> None:
    points = _points(table, kind)
    if len(points):
        gaps = np.linspace(0, 1.1 * float(points["gap"].max()), 40)
        axes.plot(100 * gaps, 100 * _best(table, kind, gaps), color=BLACK, zorder=1, label="best possible (theory)")


def _best(table: pd.DataFrame, kind: str, gaps: np.ndarray) -> np.ndarray:
    """Read off 101 points, from 0 to 1."""
    p, d = (tuple(json.loads(table[column].iloc[0])) for column in (RATES, DISTANCES))
    return np.interp(gaps, np.linspace(0, 1, 101), _at_every_per_cent(kind, p, d))


@cache
def _at_every_per_cent(kind: str, p: tuple[float, ...], d: tuple[float, ...]) -> np.ndarray:
    """Each point of equalised odds is a linear programme."""
    return FRONTIERS[kind](np.linspace(0, 1, 101), p, d)


def _cloud(axes: Axes, points: pd.DataFrame, colour: str, marker: str, label: str) -> None:
    """The mean of each setting, with bars of one standard deviation over seeds."""
    if not len(points):
        return
    grouped = points.groupby("setting", observed=True)[["gap", "accuracy"]]
    mean, spread = 100 * grouped.mean(), 100 * grouped.std().fillna(0)
    axes.errorbar(
        mean["gap"],
        mean["accuracy"],
        xerr=spread["gap"],
        yerr=spread["accuracy"],
        fmt=f"{marker}-",
        color=colour,
        linewidth=1.2,
        elinewidth=1.2,
        label=label,
    )


def _drawn(table: pd.DataFrame, kind: str) -> list[tuple[str, str, str, pd.DataFrame]]:
    """(label, colour, marker, points) of what a panel shows."""
    points = _points(table, kind)

    def of(method: str) -> pd.DataFrame:
        return points[points["method"] == method]

    penalty = of("penalty")
    return [
        ("penalty, by strength", BLUE, "o", penalty),
        ("no penalty", VERMILLION, "s", penalty[penalty["setting"] == 0]),
        ("reweighing", GREEN, "D", of(REWEIGHING)),
        ("exponentiated gradient, by ε", PURPLE, "^", of("reduction")),
        ("thresholds by group", ORANGE, "v", of("thresholds")),
    ]


def _points(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """A row for each run: `method`, `setting`, `seed`, `gap` and `accuracy` on the test split, fractions."""
    reductions = table[table["sweep"] == REDUCTIONS[kind]]
    once = reductions[reductions[EPS] == reductions[EPS].min()]  # thresholds don't depend on ε
    gap = f"fairness/{kind}"
    named = "exponentiated_gradient/test_{}_expected"
    parts = [
        _pairs(table[table["sweep"] == PENALTY[kind]], gap, "test/error", "penalty", STRENGTH),
        _pairs(reductions, named.format(kind), named.format("accuracy"), "reduction", EPS),
        _pairs(
            once,
            "threshold_optimiser/test_gap_expected",
            "threshold_optimiser/test_accuracy_expected",
            "thresholds",
        ),
    ]
    if kind == PARITY:
        parts.append(_pairs(table[table["sweep"] == REWEIGHING], gap, "test/error", REWEIGHING))
    return pd.concat(parts, ignore_index=True)


def _pairs(table: pd.DataFrame, gap: str, accuracy: str, method: str, setting: str | None = None) -> pd.DataFrame:
    x, y = (last_values(rows(table, name)).set_index("run_id") for name in (gap, accuracy))
    right = y["value"].reindex(x.index)
    return pd.DataFrame(
        {
            "method": method,
            "setting": x[setting].astype(float) if setting else 0.0,
            "seed": x["seed"],
            "gap": x["value"].astype(float),
            "accuracy": 1 - right if accuracy.endswith("error") else right,
        }
    ).reset_index(drop=True)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Below the frontier and along it, what the penalty does, and what the other methods leave."""
    parity, odds = (_points(table, kind) for kind in (PARITY, ODDS))
    penalty = parity[parity["method"] == "penalty"]
    return [
        Claim(
            "theory",
            "nothing lies above the frontiers (largest excess in s.e. of the test split)",
            (max(_excess(table, parity, PARITY), _excess(table, odds, ODDS)),),
            "<=",
            4,
        ),
        Claim(
            "theory",
            "parity: the penalised nets reach the frontier (largest shortfall, mean over seeds; bound ours)",
            (100 * _shortfall(table, penalty, PARITY),),
            "<=",
            1,
            "%",
        ),
        Claim(
            "theory",
            "the stronger the penalty, the smaller the gap (Kendall's τ; bound ours)",
            by_seed(penalty, lambda t: kendall(t.assign(value=t["gap"]), "setting")),
            "<=",
            -0.9,
        ),
        Claim(
            "Menon & Williamson 2018",
            "unequal base rates: parity costs accuracy (without penalty less with the strongest)",
            by_seed(penalty, lambda t: 100 * (_at(t, min)["accuracy"] - _at(t, max)["accuracy"])),
            ">=",
            0,
            "%",
        ),
        Claim(
            "Kamiran & Calders 2012",
            "reweighing makes the gap smaller (quotient)",
            by_seed(parity[parity["method"].isin(["penalty", REWEIGHING])], _left),
            "<=",
            1,
        ),
        Claim(
            "Agarwal et al. 2018",
            "reductions keep groups within 2ε in training (largest excess over both kinds; bound ours)",
            by_seed(table[table["sweep"].isin(REDUCTIONS.values())], lambda t: 100 * _beyond(t)),
            "<=",
            0.5,
            "%",
        ),
    ]


def _excess(table: pd.DataFrame, points: pd.DataFrame, kind: str) -> float:
    """The largest accuracy less the frontier at a run's gap, in standard errors: that of accuracy, √(a(1 − a)/n),
    and, times the frontier's slope, that of a difference of two rates, at most √(1/2m), added. m: the smaller
    count.
    """
    if not len(points):
        return float("nan")
    n = float(table[TESTED].iloc[0])
    gaps, accuracy = points["gap"].to_numpy(), points["accuracy"].to_numpy()
    best = _best(table, kind, gaps)
    gap_error = (2 * n * _least_share(table, kind)) ** -0.5
    error = np.sqrt(accuracy * (1 - accuracy) / n) + _best(table, kind, gaps + gap_error) - best
    return float(((accuracy - best) / error).max())


def _least_share(table: pd.DataFrame, kind: str) -> float:
    """Of the examples that a rate is the mean of: a group, or one class of a group; groups are equally large."""
    p = json.loads(table[RATES].iloc[0])
    return (1.0 if kind == PARITY else min(min(q, 1 - q) for q in p)) / len(p)


def _shortfall(table: pd.DataFrame, points: pd.DataFrame, kind: str) -> float:
    if not len(points):
        return float("nan")
    mean = points.groupby("setting")[["gap", "accuracy"]].mean()
    return float((_best(table, kind, mean["gap"].to_numpy()) - mean["accuracy"].to_numpy()).max())


def _at(points: pd.DataFrame, which: Callable[[pd.Series], float]) -> pd.Series:
    return points[points["setting"] == which(points["setting"])].iloc[0]


def _left(points: pd.DataFrame) -> float:
    free = points[(points["method"] == "penalty") & (points["setting"] == 0)]["gap"].iloc[0]
    return float(points[points["method"] == REWEIGHING]["gap"].iloc[0] / free)


def _beyond(table: pd.DataFrame) -> float:
    found = []
    for kind, sweep in REDUCTIONS.items():
        part = table[table["sweep"] == sweep]
        gaps = last_values(rows(part, f"exponentiated_gradient/train_{kind}_expected"))
        found += [float((of["value"] - 2 * eps).max()) for eps, of in each(gaps, EPS)]
    return max(found)
