"""Accuracy against the fraction of weights kept: by magnitude, global or by layer, and at random (Han 2015)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, log_axis, sweeps
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, new_slide, slide

__all__ = ["claims", "draw"]

PAPER = "Han et al. 2015"
GLOBAL, LAYER, RANDOM = "pruning/magnitude", "by_layer/magnitude", "pruning/random"
CURVES = {
    GLOBAL: ("largest, all layers together", BLUE, "-"),
    LAYER: ("largest of each layer", GREEN, "--"),
    RANDOM: ("random", VERMILLION, "-."),
}
NAMES = {"mlp": "digits, MLP", "cnn": "digits, CNN"}


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """One panel for each net; dashed grey: guessing."""
    figure = new_slide()
    parts = list(sweeps(accuracies(table)))
    panels = figure.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    for axes, (sweep, kept) in zip(panels, parts, strict=True):
        _panel(axes, kept)
        axes.set_title(NAMES.get(sweep, sweep))
        axes.axhline(100 / float(table["num_classes"].iloc[0]), color=GREY, linestyle=":", linewidth=2)
    panels[0].set_ylabel("test accuracy (%)")
    panels[-1].legend(loc="upper right")
    return figure


def _panel(axes: Axes, kept: pd.DataFrame) -> None:
    for kind, (label, colour, line) in CURVES.items():
        chosen = kept[kept["kind"] == kind]
        band(axes, chosen, "density", colour, scale=100, label=label, linestyle=line, marker="o", markersize=6)
    log_axis(axes, "x")
    axes.invert_xaxis()
    axes.set_ylim(0, 101)
    axes.set_xlabel("density: fraction of weights kept")


def accuracies(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run, kind (one of CURVES) and density: `value` is the test accuracy."""
    found = table["name"].astype(str).str.extract(rf"^(?P<kind>{'|'.join(CURVES)})/(?P<density>[\d.e-]+)$")
    chosen = table.assign(kind=found["kind"], density=pd.to_numeric(found["density"])).dropna(subset=["density"])
    latest = [last_values(part) for _, part in chosen.groupby(["kind", "density"], observed=True)]
    return pd.concat(latest).sort_index() if latest else chosen


def claims(table: pd.DataFrame) -> list[Claim]:
    """What half of the weights does, how magnitude compares with chance, global with layer-wise."""
    parts = sweeps(accuracies(table))
    return [claim for sweep, part in parts for claim in _claims_of(NAMES.get(sweep, sweep), part)]


def _claims_of(where: str, kept: pd.DataFrame) -> list[Claim]:
    return [
        Claim(
            PAPER,
            f"{where}: half of the weights can go at once (accuracy lost; 1 % chosen by us)",
            by_seed(kept[kept["kind"] == GLOBAL], lambda t: 100 * _lost(t, 0.5)),
            "<=",
            1,
            "%",
        ),
        Claim(
            PAPER,
            f"{where}: the largest serve better than random ones (least gain, 0.5 to 0.1)",
            by_seed(kept, lambda t: 100 * _gain(t, GLOBAL, RANDOM).loc[0.1:0.5].min()),
            ">=",
            0,
            "%",
        ),
        Claim(
            "Blalock et al. 2020",
            f"{where}: one ranking is no worse than one for each layer (mean gain, below 0.2)",
            by_seed(kept, lambda t: 100 * _gain(t, GLOBAL, LAYER).loc[:0.2].mean()),
            ">=",
            0,
            "%",
        ),
    ]


def _lost(kept: pd.DataFrame, density: float) -> float:
    at = kept.set_index("density")["value"]
    return float(at.loc[1.0] - at.loc[density])


def _gain(kept: pd.DataFrame, kind: str, other: str) -> pd.Series:
    """By density, ascending: the accuracy of one kind above that of another one."""
    ours, theirs = (kept[kept["kind"] == k].set_index("density")["value"].sort_index() for k in (kind, other))
    return ours - theirs
