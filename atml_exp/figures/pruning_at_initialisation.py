"""Test error against density of nets pruned before training, and after it, by criterion (Frankle et al. 2021)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, log_axis, rows
from atml_exp.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_slide,
    slide,
)

__all__ = ["claims", "draw"]

CRITERION, DENSITY = "recipe.criterion", "recipe.density"
AFTER = "after training"
CRITERIA = {
    "snip": ("SNIP", BLUE, "-"),
    "grasp": ("GraSP", ORANGE, "--"),
    "synflow": ("SynFlow", GREEN, "-"),
    "obd": ("OBD", SKY, "-."),
    "magnitude": ("magnitude", PURPLE, "--"),
    "random": ("random", VERMILLION, ":"),
}
FRANKLE, TANAKA = "Frankle et al. 2021", "Tanaka et al. 2020"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: test errors, black: by magnitude after training; right: layers without any weight."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    _errors(left, table)
    _emptied(right, table)
    for axes in (left, right):
        log_axis(axes, "x")
        axes.set_xlim(table[DENSITY].max() * 1.05, table[DENSITY].min() * 0.95)
        axes.set_xlabel("density: fraction of weights kept")
    return figure


def _errors(axes: Axes, table: pd.DataFrame) -> None:
    last = last_values(rows(table, "test/error"))
    before = last[last["sweep"] != AFTER]
    for criterion, (label, colour, style) in CRITERIA.items():
        runs = before[before[CRITERION] == criterion]
        if len(runs):
            band(axes, runs, DENSITY, colour, scale=100, linestyle=style, marker="o", markersize=5, label=label)
    after = last[last["sweep"] == AFTER]
    if len(after):
        band(axes, after, DENSITY, BLACK, scale=100, marker="s", markersize=5, label=AFTER)
    axes.axhline(100 * (1 - 1 / table["num_classes"].iloc[0]), color=GREY, linestyle=":", linewidth=2)
    axes.set_ylim(0, 100)
    axes.set_ylabel("test error (%)")
    axes.legend(loc="upper left")


def _emptied(axes: Axes, table: pd.DataFrame) -> None:
    last = last_values(rows(table, "mask/emptied_layers"))
    for index, (criterion, (_, colour, style)) in enumerate(CRITERIA.items()):
        runs = last[(last[CRITERION] == criterion) & (last["sweep"] != AFTER)]
        if len(runs):
            mean = runs.groupby(DENSITY)["value"].mean()
            shift = 0.015 * (index - 2.5)  # lines at 0 lie on one another
            axes.plot(mean.index, mean + shift, color=colour, linestyle=style, marker="o", markersize=5)
    axes.set_ylabel("layers without any weight")
    axes.set_ylim(-0.15, max(1.0, 1.1 * float(last["value"].max())))


def claims(table: pd.DataFrame) -> list[Claim]:
    """Against chance, against pruning after training, and which of them empty a layer."""
    before = table[table["sweep"] != AFTER]
    error = last_values(rows(table, "test/error"))
    emptied = last_values(rows(before, "mask/emptied_layers"))
    return [
        *(
            Claim(
                paper,
                f"{name} beats random pruning at initialisation (mean difference of test errors)",
                by_seed(error, lambda t, key=key: 100 * _gain(t, "random", key)),  # type: ignore[misc]
                ">=",
                0,
                "%",
            )
            for paper, name, key in (
                ("Lee et al. 2019", "SNIP", "snip"),
                ("Wang et al. 2020", "GraSP", "grasp"),
                (TANAKA, "SynFlow", "synflow"),
            )
        ),
        Claim(
            FRANKLE,
            "none of them reaches magnitude pruning after training (best less that, least of all densities)",
            by_seed(error, lambda t: 100 * float(_best_before_less_after(t).min())),
            ">=",
            0,
            "%",
        ),
        Claim(
            TANAKA,
            "SynFlow empties no layer, at any density (most emptied layers)",
            by_seed(emptied, lambda t: float(t.loc[t[CRITERION] == "synflow", "value"].max())),
            "<=",
            0,
        ),
        Claim(
            TANAKA,
            "SNIP and GraSP do (most emptied layers, the lesser of both)",
            by_seed(
                emptied, lambda t: min(float(t.loc[t[CRITERION] == c, "value"].max()) for c in ("snip", "grasp"))
            ),
            ">=",
            1,
        ),
    ]


def _by_density(error: pd.DataFrame, criterion: str, *, after: bool = False) -> pd.Series:
    """Of one seed."""
    chosen = error[(error[CRITERION] == criterion) & ((error["sweep"] == AFTER) == after)]
    return chosen.set_index(DENSITY)["value"].sort_index()


def _gain(error: pd.DataFrame, than: str, criterion: str) -> float:
    return float(np.mean(_by_density(error, than) - _by_density(error, criterion)))


def _best_before_less_after(error: pd.DataFrame) -> pd.Series:
    before = pd.concat([_by_density(error, criterion) for criterion in CRITERIA], axis=1).min(axis=1)
    return before - _by_density(error, "magnitude", after=True)
