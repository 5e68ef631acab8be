"""Nets that are born dead, by depth and width beside their probability, and units that die while a net trains."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, VERMILLION, label_lines, new_slide, slide

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "left: bars of one standard error; right: lines: mean over seeds; bands: their range"
ONE, ALL, TRAINING = "one input", "all inputs", "training"
WIDTH, DEPTH, RATE, ACTIVATION = "model.width", "model.depth", "optimiser.learning_rate", "model.activation"
PAPER = "Lu et al. 2020"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: the share of nets with a dead layer. Right: dead units after training, by step size."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    _born(left, table)
    _killed(right, table)
    return figure


def _born(axes: Axes, table: pd.DataFrame) -> None:
    for sweep, marker, colours in ((ONE, "o", (BLUE, VERMILLION)), (ALL, "^", (BLUE, VERMILLION))):
        for (width, part), colour in zip(each(_dead(table, sweep), WIDTH), colours, strict=False):
            share, number = (getattr(part.groupby(DEPTH)["value"], of)() for of in ("mean", "count"))
            face = colour if sweep == ONE else "white"
            axes.errorbar(
                share.index,
                100 * share,
                100 * (share * (1 - share) / number) ** 0.5,
                fmt=marker,
                color=colour,
                markerfacecolor=face,
                elinewidth=1.5,
                label=f"{width:g} units, {sweep}",
            )
            depth = np.geomspace(1, part[DEPTH].max(), 100)
            axes.plot(depth, 100 * _probability(width, depth), color=BLACK, linewidth=1.5, zorder=1)
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("nets born dead (%)")
    axes.set_ylim(-3, 103)
    log_axis(axes, "x")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.12, 1.0), ncols=2, columnspacing=1.0, handletextpad=0.2)


def _killed(axes: Axes, table: pd.DataFrame) -> None:
    labels = {}
    for activation, runs in each(_fractions(table), ACTIVATION):
        colour = BLUE if activation == "relu" else GREY
        _, mean = band(axes, runs, RATE, colour, scale=100, marker="o")
        labels[str(activation).replace("_relu", "")] = (float(mean[-1]), colour)
    axes.set_xlabel("step size $η$")
    axes.set_ylabel("dead units after training (%)")
    log_axis(axes, "x")
    axes.set_ylim(-1, None)
    label_lines(axes, labels)


def _dead(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """`value`: 1 for a net with a layer of which all units are dead, 0 for others."""
    found = last_values(rows(table[table["sweep"] == sweep], "dead_units/max"))
    return found.assign(value=(found["value"] == 1).astype(float))


def _fractions(table: pd.DataFrame) -> pd.DataFrame:
    return last_values(rows(table[table["sweep"] == TRAINING], "dead_units/fraction"))


def _probability(width: float, depth: np.ndarray) -> np.ndarray:
    """1 − (1 − 2^−N)^L: one of L layers is 0 at a given input, of weights that are symmetric about 0, no biases."""
    return 1 - (1 - 2.0**-width) ** depth


def claims(table: pd.DataFrame) -> list[Claim]:
    """The probability and its bound, in standard errors; what kills units and what doesn't."""
    fractions = _fractions(table)
    relu = fractions[fractions[ACTIVATION] == "relu"]
    return [
        Claim(
            PAPER,
            "one input: a net is dead with probability $1 − (1 − 2^{−N})^L$ (largest deviation in s.e.)",
            (_largest(_dead(table, ONE), two_sided=True),),
            "<=",
            4,
        ),
        Claim(
            PAPER,
            "all inputs: with at most that probability (largest excess in s.e.)",
            (_largest(_dead(table, ALL), two_sided=False),),
            "<=",
            4,
        ),
        Claim(
            PAPER,
            "the deepest narrow nets are mostly born dead (share, of all inputs; bound ours)",
            (_deepest(_dead(table, ALL)),),
            ">=",
            50,
            "%",
        ),
        Claim(
            PAPER,
            "large steps kill units (dead at the largest η less at the smallest)",
            by_seed(relu, lambda t: 100 * float(_at(t, max) - _at(t, min))),
            ">=",
            0,
            "%",
        ),
        Claim(
            PAPER,
            "leaky units don't die (largest share of dead ones)",
            by_seed(fractions[fractions[ACTIVATION] == "leaky_relu"], lambda t: 100 * float(t["value"].max())),
            "<=",
            0,
            "%",
        ),
    ]


def _largest(dead: pd.DataFrame, *, two_sided: bool) -> float:
    """Over widths and depths, of share − probability in units of its standard error."""
    found = []
    for width, nets in each(dead, WIDTH):
        for depth, part in each(nets, DEPTH):
            p = float(_probability(width, np.array(float(depth))))
            excess = (part["value"].mean() - p) / (p * (1 - p) / len(part)) ** 0.5
            found.append(abs(excess) if two_sided else excess)
    return max(found, default=float("nan"))


def _deepest(dead: pd.DataFrame) -> float:
    if not len(dead):
        return float("nan")
    part = dead[(dead[WIDTH] == dead[WIDTH].min()) & (dead[DEPTH] == dead[DEPTH].max())]
    return 100 * float(part["value"].mean())


def _at(runs: pd.DataFrame, which: object) -> float:
    rate = which(runs[RATE])  # type: ignore[operator]
    return float(runs[runs[RATE] == rate]["value"].iloc[0])
