"""Test error against weights kept, across widths: is a wide net pruned better than a narrow one trained whole?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.densities import at_each_density
from atml_exp.figures.panels import each, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, new_slide, slide

__all__ = ["claims", "draw"]

WIDTH = "model.width"
COLOURS = (VERMILLION, ORANGE, GREEN, SKY, BLUE, PURPLE)
LOSS = 1.0
"""Per cent of test error more than the dense net, up to which a net counts as undamaged (chosen by us)."""
ZHU = "Zhu & Gupta 2017"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: against density; right: against the number of weights kept, black: the dense nets of each width."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, sharey=True)
    reached = _reached(table)
    for axes, column in ((left, "density"), (right, "weights")):
        _curves(axes, reached, column)
        log_axis(axes, "x")
        axes.set_xlim(reached[column].max() * 1.15, reached[column].min() * 0.87)
    dense = reached[reached["density"] == 1].groupby("weights")["value"].mean()
    right.plot(dense.index, 100 * dense, color=BLACK, linestyle="--", linewidth=2, zorder=4)
    left.set_ylim(bottom=0, top=min(60.0, 108 * float(reached["value"].max())))
    left.set_ylabel("test error (%)")
    left.set_xlabel("density: fraction of weights kept")
    right.set_xlabel("weights kept (dashed: dense nets)")
    return figure


def _curves(axes: Axes, reached: pd.DataFrame, column: str) -> None:
    """Means over seeds, and their range; seeds keep equally many weights."""
    for (width, runs), colour in zip(each(reached, WIDTH), COLOURS, strict=False):
        grouped = runs.groupby(runs["density"].round(6))
        at, mean = grouped[column].mean(), 100 * grouped["value"].mean()
        axes.plot(at, mean, color=colour, marker="o", markersize=4, label=f"width {width:g}")
        axes.fill_between(
            at, 100 * grouped["value"].min(), 100 * grouped["value"].max(), color=colour, alpha=0.2, lw=0
        )
    if column == "density":
        axes.legend(loc="upper left")


def _reached(table: pd.DataFrame) -> pd.DataFrame:
    """Test errors at each density, with `weights`: how many are kept, biases left out."""
    reached = at_each_density(table, "test/error")
    kept, density = (rows(table, f"mask/{key}").groupby("run_id")["value"].last() for key in ("weights", "density"))
    return reached.assign(weights=reached["density"] * reached["run_id"].map((kept / density).round()))


def claims(table: pd.DataFrame) -> list[Claim]:
    """At equal numbers of weights, at equal density, and how far one can go."""
    reached = _reached(table)
    return [
        Claim(
            ZHU,
            "as many weights do better in a wide net, pruned, than in a narrow one (mean gain, test error)",
            by_seed(reached, _gain_of_pruning),
            ">=",
            0,
            "%",
        ),
        Claim(
            ZHU,
            "the wider the net, the smaller the fraction that it needs (Kendall's $τ$; −1: at each width)",
            by_seed(reached, lambda t: kendall(_needed(t), WIDTH)),
            "<=",
            -1,
        ),
        Claim(
            "Frankle & Carbin 2019",
            f"the widest net needs less than a fifth of its weights (smallest density within {LOSS:g} % of dense)",
            by_seed(reached, lambda t: float(_needed(t)["value"].iloc[-1])),
            "<=",
            0.2,
        ),
    ]


def _needed(reached: pd.DataFrame) -> pd.DataFrame:
    """For each width the least density that is undamaged, as are all above it; one seed."""
    found = []
    for width, runs in each(reached, WIDTH):
        runs = runs.sort_values("density", ascending=False)
        undamaged = (100 * (runs["value"] - runs["value"].iloc[0]) <= LOSS).to_numpy()
        last = len(runs) - 1 if undamaged.all() else int(np.argmin(undamaged)) - 1
        found.append({WIDTH: width, "value": float(runs["density"].iloc[last])})
    return pd.DataFrame(found)


def _gain_of_pruning(reached: pd.DataFrame) -> float:
    """Mean over the dense nets but the widest: their error less the widest's, pruned to as many weights, in %.

    Between two measured densities the widest net's error is interpolated on the logarithm of the weights.
    """
    widths = sorted(reached[WIDTH].unique())
    widest = reached[reached[WIDTH] == widths[-1]].sort_values("weights")
    dense = reached[(reached["density"] == 1) & (reached[WIDTH] < widths[-1])]
    dense = dense[dense["weights"] >= widest["weights"].min()]
    there = np.interp(np.log(dense["weights"]), np.log(widest["weights"]), widest["value"])
    return float(100 * (dense["value"] - there).mean())
