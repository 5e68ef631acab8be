"""Test error of winning tickets and of their controls against density (Frankle & Carbin 2019)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.densities import at_each_density
from atml_exp.figures.panels import band, log_axis
from atml_exp.figures.style import BLACK, BLUE, GREEN, PURPLE, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

ARM = "recipe.arm"
PAPER = "Frankle & Carbin 2019"
SPARSE = 0.2
"""Where the paper's tickets are looked for: at most this fraction of the weights."""
ARMS = {
    "ticket": ("winning ticket", BLUE, "-"),
    "redrawn": ("its mask, other\ninitial weights", VERMILLION, "--"),
    "shuffled": ("its weights, mask\nshuffled by layer", GREEN, "-."),
    "random": ("random mask", PURPLE, ":"),
}


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """A line for each arm; black: the dense net."""
    figure = new_slide()
    axes = figure.subplots()
    reached = at_each_density(table, "test/error")
    labels = []
    for arm, (label, colour, style) in ARMS.items():
        runs = reached[reached[ARM] == arm]
        if len(runs):
            _, mean = band(axes, runs, "density", colour, scale=100, linestyle=style, marker="o", markersize=5)
            labels.append((label, float(mean[0]), colour))
    dense = 100 * reached.loc[reached[ARM] == "dense", "value"]
    axes.axhline(dense.mean(), color=BLACK, linewidth=2)
    axes.axhspan(dense.min(), dense.max(), color=BLACK, alpha=0.12, linewidth=0)
    labels.append(("dense net", float(dense.mean()), BLACK))
    log_axis(axes, "x")
    axes.set_xlim(1.05, reached["density"].min())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("density: fraction of weights kept")
    axes.set_ylabel("test error (%)")
    label_lines(axes, labels, size=15)
    return figure


def claims(table: pd.DataFrame) -> list[Claim]:
    """How sparse tickets do against the dense net and against each control."""
    reached = at_each_density(table, "test/error")
    return [
        Claim(
            PAPER,
            "a ticket of at most 20 % of the weights does as well as the dense net (best, difference of errors)",
            by_seed(reached, _best_less_dense),
            "<=",
            0,
            "%",
        ),
        *(
            Claim(
                PAPER,
                f"at such densities {what} (mean difference of errors)",
                by_seed(reached, quantity),
                ">=",
                0,
                "%",
            )
            for what, quantity in (
                ("other initial weights do worse", lambda t: _worse(t, "redrawn")),
                ("a mask shuffled within layers does worse", lambda t: _worse(t, "shuffled")),
                ("a random mask does worse", lambda t: _worse(t, "random")),
            )
        ),
        Claim(
            "Frankle et al. 2020",
            "the structure alone counts: a shuffled mask does better than a random one (mean difference)",
            by_seed(reached, lambda t: float((_sparse(t, "random") - _sparse(t, "shuffled")).mean())),
            ">=",
            0,
            "%",
        ),
    ]


def _sparse(reached: pd.DataFrame, arm: str) -> pd.Series:
    """Test errors in per cent by density, at most SPARSE."""
    runs = reached[(reached[ARM] == arm) & (reached["density"] <= SPARSE)]
    return 100 * runs.set_index(runs["density"].round(4))["value"].sort_index()


def _worse(reached: pd.DataFrame, arm: str) -> float:
    return float(np.mean(_sparse(reached, arm) - _sparse(reached, "ticket")))


def _best_less_dense(reached: pd.DataFrame) -> float:
    dense = 100 * reached.loc[reached[ARM] == "dense", "value"].iloc[0]
    return float(_sparse(reached, "ticket").min() - dense)
