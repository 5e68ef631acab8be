"""Nets that learnt random labels first generalise worse: does the PH dimension say so? (Tan 2024)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, log_axis, rows
from atml_exp.figures.style import BLUE, GREY, VERMILLION, new_slide, slide

__all__ = ["by_run", "claims", "draw"]

RATE = "optimiser.learning_rate"
ORDINARY, ADVERSARIAL = "ordinary", "adversarial"
LOOKS = {ORDINARY: (BLUE, "-", "o"), ADVERSARIAL: (VERMILLION, "--", "s")}
NAMES = {
    "dimension": "fractal_dimension/dimension",
    "norm": "norms/weights",
    "test": "test/error",
    "train": "train/error",
}
LIU, TAN = "Liu et al. 2020", "Tan et al. 2024"


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each net: sweep, η, seed, and at the end `dimension`, `norm`, `train` and `gap` in per cent."""
    found = last_values(rows(table, NAMES["test"]))[["run_id", "sweep", "seed", RATE]]
    for column, name in NAMES.items():
        values = last_values(rows(table, name))[["run_id", "value"]].rename(columns={"value": column})
        found = found.merge(values, on="run_id")
    return found.assign(gap=100 * (found["test"] - found["train"]), train=100 * found["train"])


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Generalisation gap, PH₀ dimension and the last iterate's norm against η, for both initialisations."""
    figure, found = new_slide(), by_run(table)
    panels = figure.subplots(1, 3)
    titles = ("generalisation gap (%)", r"PH$_0$ dimension", r"control: $\|w\|$ at the end")
    for axes, column, title in zip(panels, ("gap", "dimension", "norm"), titles, strict=True):
        _panel(axes, found, column)
        axes.set_title(title)
    _theory(panels[1])
    panels[1].legend(loc="lower left", bbox_to_anchor=(0, 0.05))
    return figure


def _panel(axes: Axes, found: pd.DataFrame, column: str) -> None:
    for sweep, (colour, line, marker) in LOOKS.items():
        chosen = found[found["sweep"] == sweep].assign(value=lambda t: t[column])
        if len(chosen):
            label = f"{sweep} initialisation"
            band(axes, chosen, RATE, colour, linestyle=line, marker=marker, label=label, clip_on=False)
    axes.set_ylim(0, 1.12 * max(found[column].max(), 0.01))
    log_axis(axes, "x")
    axes.set_xticks(sorted(found[RATE].unique()))
    axes.set_xlabel(r"step size $\eta$")


def _theory(axes: Axes) -> None:
    """The dimension of paths that are known, written where the nets' own don't run."""
    for name, dimension, side, offset in (("Brownian", 2, "top", -5), ("smooth", 1, "bottom", 3)):
        axes.axhline(dimension, linestyle=":", color=GREY, linewidth=2.5, zorder=1)
        axes.annotate(
            f"{name} path", (0.02, dimension), (0, offset), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va=side, color=GREY, size=14,
        )  # fmt: skip


def claims(table: pd.DataFrame) -> list[Claim]:
    """Are the nets worse; do both fit their training set; does the dimension say so; does the norm."""
    found = by_run(table)
    return [
        Claim(
            LIU,
            "adversarial nets generalise worse (gap less that of ordinary ones)",
            by_seed(found, lambda t: _excess(t, "gap")),
            ">=",
            0,
            "%",
        ),
        Claim(
            LIU,
            "all fit their training set (largest training error; 1 % chosen by us)",
            by_seed(found, lambda t: t["train"].max()),
            "<=",
            1,
            "%",
        ),
        Claim(
            TAN,
            "their dimension doesn't say so: it isn't larger (less that of ordinary ones)",
            by_seed(found, lambda t: _excess(t, "dimension")),
            "<=",
            0,
        ),
        Claim(
            TAN,
            "control: the last iterate's norm is (less that of ordinary ones)",
            by_seed(found, lambda t: _excess(t, "norm")),
            ">=",
            0,
        ),
    ]


def _excess(nets: pd.DataFrame, column: str) -> float:
    """Adversarial less ordinary, the mean over the step sizes that both have."""
    means = nets.groupby(["sweep", RATE], observed=True)[column].mean()
    difference = (means[ADVERSARIAL] - means[ORDINARY]).dropna()
    if not len(difference):
        raise ValueError("no step size was tried from both initialisations")
    return float(difference.mean())
