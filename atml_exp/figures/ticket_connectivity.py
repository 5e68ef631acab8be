"""Whether two trainings of one sparse net end linearly connected, by density (Frankle et al. 2020)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.densities import at_each_density
from atml_exp.figures.panels import each, log_axis
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

ARM, REWIND = "recipe.arm", "recipe.rewind_to"
ARMS = {
    "ticket": ("winning ticket", BLUE, "-"),
    "redrawn": ("its mask, other\ninitial weights", VERMILLION, "--"),
    "random": ("random mask", GREEN, ":"),
}
STABLE = 2.0
"""Per cent of error, below which a net counts as stable (Frankle et al. 2020)."""
PAPER = "Frankle et al. 2020"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """A panel for each rewind point with the barrier of the test error; right: the children's own test error."""
    figure = new_slide()
    parts = list(each(_barriers(table), REWIND))
    panels = figure.subplots(1, len(parts) + 1)
    top = max(1.2 * STABLE, 1.08 * max(float(part["value"].max()) for _, part in parts))
    for axes, (rewind, part) in zip(panels, parts, strict=False):
        _curves(axes, part, "value")
        axes.axhline(STABLE, color=GREY, linestyle=":", linewidth=2)
        axes.set_ylim(0, top)
        axes.set_title(_name(rewind))
    panels[0].set_ylabel("barrier of the test error (%)")
    last = parts[-1][1]
    _curves(panels[-1], last, "error", labelled=True)
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_title("children's test error (%)")
    for axes in panels:
        log_axis(axes, "x")
        axes.set_xlim(1.1, 0.9 * table.loc[table["name"] == "mask/density", "value"].min())
        axes.set_xlabel("density")
    return figure


def _name(rewind: str) -> str:
    return "initial weights" if str(rewind) in ("0it", "0ep", "0") else f"rewound to {rewind}"


def _curves(axes: Axes, part: pd.DataFrame, column: str, *, labelled: bool = False) -> None:
    labels = []
    for arm, (label, colour, style) in ARMS.items():
        grouped = part[part[ARM] == arm].groupby("density")[column]
        if len(grouped):
            mean = grouped.mean()
            axes.plot(mean.index, mean, color=colour, linestyle=style, marker="o", markersize=5)
            axes.fill_between(mean.index, grouped.min(), grouped.max(), color=colour, alpha=0.2, linewidth=0)
            labels.append((label, float(mean.iloc[0]), colour))
    if labelled:
        label_lines(axes, labels, size=14)


def _barriers(table: pd.DataFrame) -> pd.DataFrame:
    """For each run and density: `value`, the barrier, and `error`, the children's mean test error, in per cent."""
    found = at_each_density(table, "instability/test_error")
    errors = []
    for directory, step in zip(found["directory"], found["step"], strict=True):
        steps, paths = Run(str(directory)).array("instability/test_error_path")
        path = np.asarray(paths[steps.tolist().index(step)], dtype=float)
        errors.append(50 * (path[0] + path[-1]))
    return found.assign(value=100 * found["value"], error=errors, density=found["density"].round(4))


def claims(table: pd.DataFrame) -> list[Claim]:
    """Of the barriers of the test error, at the latest rewind point unless said."""
    found = _barriers(table)
    points = sorted(found[REWIND].unique(), key=lambda p: float("".join(c for c in str(p) if c.isdigit())))
    late = found[found[REWIND] == points[-1]]
    return [
        Claim(
            PAPER,
            "winning tickets are stable to the noise of SGD (largest barrier of the test error)",
            by_seed(late, lambda t: float(t.loc[t[ARM] == "ticket", "value"].max())),
            "<=",
            STABLE,
            "%",
        ),
        Claim(
            PAPER,
            "with other initial weights the same masks aren't (barrier at the lowest density)",
            by_seed(late, lambda t: _at_lowest(t, "redrawn", "value")),
            ">=",
            STABLE,
            "%",
        ),
        Claim(
            PAPER,
            "nor are random masks (barrier at the lowest density)",
            by_seed(late, lambda t: _at_lowest(t, "random", "value")),
            ">=",
            STABLE,
            "%",
        ),
        Claim(
            PAPER,
            "a later rewind point makes tickets more stable (mean barrier, latest less earliest)",
            by_seed(found, lambda t: _mean_of_tickets(t, points[-1]) - _mean_of_tickets(t, points[0])),
            "<=",
            0,
            "%",
        ),
        Claim(
            PAPER,
            "the more stable net has fewer test errors (random less ticket at the lowest density)",
            by_seed(late, lambda t: _at_lowest(t, "random", "error") - _at_lowest(t, "ticket", "error")),
            ">=",
            0,
            "%",
        ),
    ]


def _at_lowest(found: pd.DataFrame, arm: str, column: str) -> float:
    runs = found[found[ARM] == arm].sort_values("density")
    return float(runs[column].iloc[0])


def _mean_of_tickets(found: pd.DataFrame, rewind: str) -> float:
    return float(found.loc[(found[ARM] == "ticket") & (found[REWIND] == rewind), "value"].mean())
