"""NC1 to NC4 before and in the terminal phase of training (Papyan, Han & Donoho 2020)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, log_axis, rows
from atml_exp.figures.style import BLUE, GREY, VERMILLION, new_slide, slide, spans_decades
from atml_exp.figures.terminal_phase import compared, starts

__all__ = ["claims", "draw"]

PAPER = "Papyan, Han & Donoho 2020"
LOSSES = {"cross_entropy": ("cross-entropy", BLUE), "mse": ("squared loss", VERMILLION)}
QUANTITIES = {
    "nc1": r"NC1: $\mathrm{tr}(\Sigma_W \Sigma_B^\dagger)/C$",
    "nc2_equiangle_means": "NC2: angles, means",
    "nc2_equinorm_means": "NC2: lengths, means",
    "nc3": "NC3: self-duality",
    "nc4": "NC4: not nearest mean (%)",
    "test/error": "test error (%)",
}
"""What is drawn, under the title of its panel."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """One panel for each quantity; dotted: the epoch from which on the training error is 0 (first seed)."""
    figure = new_slide()
    panels = figure.subplots(2, 3, sharex=True)
    for axes, (name, title) in zip(panels.flat, QUANTITIES.items(), strict=True):
        _panel(axes, table, name)
        axes.set_title(title, size=17)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    panels[0, 0].plot([], [], ":", color=GREY, linewidth=2, label="training error 0")
    panels[0, 0].legend(loc="upper right", fontsize=15)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, name: str) -> None:
    found = rows(table, _metric(name))
    scale = 100 if name in ("nc4", "test/error") else 1
    for loss, runs in each(found, "loss"):
        label, colour = LOSSES.get(loss, (loss, GREY))
        band(axes, runs, "epoch", colour, scale=scale, label=label)
        if begins := starts(table[table["loss"] == loss]):
            axes.axvline(float(np.mean(list(begins.values()))), color=colour, linestyle=":", linewidth=2)
    values = scale * found["value"].to_numpy()
    if name == "nc4":
        axes.set_yscale("symlog", linthresh=1)
        axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        axes.set_ylim(-0.1, 100)
    elif spans_decades(values, 0.7) and values.min() > 0:
        log_axis(axes)
    else:
        axes.set_ylim(0, None)
    axes.set_xlim(0, found["epoch"].max())


def _metric(name: str) -> str:
    return name if "/" in name else f"neural_collapse/{name}"


FALLING = {
    "nc1": "NC1: variability within classes vanishes against that between them",
    "nc2_equiangle_means": "NC2: the angles between class means become equal",
    "nc2_equinorm_means": "NC2: the lengths of class means become equal",
    "nc3": "NC3: classifier and class means align",
}


def claims(table: pd.DataFrame) -> list[Claim]:
    """Each quantity at the end of training against its value where the terminal phase begins."""
    decisions = Claim(
        PAPER,
        "NC4: the net decides by the nearest class mean (training examples where not, at the end)",
        by_seed(table, lambda t: 100 * _worse(t, "nc4", lambda begin, end: end)),
        "<=",
        0,
        "%",
    )
    benefit = Claim(
        PAPER,
        "the test error doesn't grow in the terminal phase (end − begin)",
        by_seed(table, lambda t: 100 * _worse(t, "test/error", lambda begin, end: end - begin)),
        "<=",
        0,
        "%",
    )
    return [*(_falls(table, name, said) for name, said in FALLING.items()), decisions, benefit]


def _falls(table: pd.DataFrame, name: str, said: str) -> Claim:
    values = by_seed(table, lambda t: _worse(t, name, _ratio))
    return Claim(PAPER, f"{said} (end / begin of terminal phase)", values, "<=", 1)


def _ratio(begin: float, end: float) -> float:
    return end / begin


def _worse(table: pd.DataFrame, name: str, compare: Callable[[float, float], float]) -> float:
    """The larger of the losses' comparisons of a quantity at the begin and at the end of the terminal phase."""
    return max(compared(table, _metric(name), compare))
