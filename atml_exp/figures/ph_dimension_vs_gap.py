"""PH₀ dimension of late iterates against the generalisation gap, and what it must be told from (Birdal 2021)."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import GREY, PALETTE, new_slide, slide
from atml_exp.ranking import bootstrap_interval, granulated_kendall, kendall_tau, partial_correlation

__all__ = ["by_run", "claims", "draw"]

BATCH, RATE = "recipe.batch_size", "optimiser.learning_rate"
NETS, WALK, LINE = "nets", "random walk", "straight line"
BIRDAL, TAN = "Birdal et al. 2021", "Tan et al. 2024"
ADAMS, JIANG = "Adams et al. 2020", "Jiang et al. 2020"
MARKERS = ("o", "s", "^", "D", "v", "P")
DIMENSION = "fractal_dimension/dimension"
NAMES = {"dimension": DIMENSION, "norm": "norms/weights", "test": "test/error", "train": "train/error"}


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each net: η, B, seed, `dimension`, `norm` ‖w‖ at the end; `train` error and `gap`, in %."""
    chosen = table[table["sweep"] == NETS]
    found = last_values(rows(chosen, NAMES["test"]))[["run_id", "seed", BATCH, RATE]]
    for column, name in NAMES.items():
        values = last_values(rows(chosen, name))[["run_id", "value"]].rename(columns={"value": column})
        found = found.merge(values, on="run_id")
    return found.assign(gap=100 * (found["test"] - found["train"]), train=100 * found["train"])


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """The gap against the dimension, dotted: straight line, random walk; and against the last iterate's norm."""
    figure, found = new_slide(), by_run(table)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, column in ((left, "dimension"), (right, "norm")):
        _dots(axes, found, column)
    left.set_xlabel(r"PH$_0$ dimension of the last 500 iterates")
    left.set_ylabel("generalisation gap (%)")
    right.set_xlabel(r"control: $\|w\|$ of the last iterate")
    left.set_ylim(*_limits(found["gap"]))
    _controls(left, table, found)
    _legends(right, found)
    return figure


def _dots(axes: Axes, found: pd.DataFrame, column: str) -> None:
    for i, rate in enumerate(sorted(found[RATE].unique())):
        for j, batch in enumerate(sorted(found[BATCH].unique())):
            cell = found[(found[RATE] == rate) & (found[BATCH] == batch)]
            (dots,) = axes.plot(cell[column], cell["gap"], MARKERS[j % len(MARKERS)], alpha=0.8, mew=0)
            dots.set_color(PALETTE[i % len(PALETTE)])


def _limits(gaps: pd.Series) -> tuple[float, float]:
    room = 0.08 * (gaps.max() - gaps.min()) or 1.0
    return float(gaps.min() - room), float(gaps.max() + room)


def _controls(axes: Axes, table: pd.DataFrame, found: pd.DataFrame) -> None:
    """What the estimator says of paths whose dimension is known, of as many steps in as many dimensions."""
    readings = [found["dimension"]]
    for sweep in (LINE, WALK):
        control = last_values(rows(table[table["sweep"] == sweep], DIMENSION))["value"]
        if len(control):
            axes.axvline(control.mean(), linestyle=":", color=GREY, linewidth=2.5)
            axes.annotate(
                sweep, (control.mean(), 1), (5, 0), xycoords=("data", "axes fraction"), rotation=90,
                textcoords="offset points", ha="left", va="top", color=GREY, size=16,
            )  # fmt: skip
            readings.append(control)
    every = pd.concat(readings)
    room = 0.06 * (every.max() - every.min()) or 0.1
    axes.set_xlim(every.min() - room, every.max() + room)


def _legends(axes: Axes, found: pd.DataFrame) -> None:
    rates = [
        Line2D([], [], marker="o", linestyle="", color=PALETTE[i % len(PALETTE)], label=rf"$\eta$ = {rate:g}")
        for i, rate in enumerate(sorted(found[RATE].unique()))
    ]
    batches = [
        Line2D([], [], marker=MARKERS[j % len(MARKERS)], linestyle="", color=GREY, label=f"B = {batch:g}")
        for j, batch in enumerate(sorted(found[BATCH].unique()))
    ]
    axes.legend(handles=[*rates, *batches], loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Does the dimension go with the gap; is it more than η and B by other names, and more than the norm.

    That an interval reaches 0 says that no link is shown, not that there is none.
    """
    found = by_run(table)
    straight = last_values(rows(table[table["sweep"] == LINE], DIMENSION))
    return [
        Claim(
            BIRDAL,
            "the larger the dimension, the larger the gap (Kendall's $τ$ over all nets of a seed)",
            by_seed(found, lambda t: kendall_tau(t["dimension"], t["gap"])),
            ">=",
            0,
        ),
        Claim(
            BIRDAL,
            "also where $η$ or $B$ alone varies (granulated Kendall's $Ψ$)",
            by_seed(found, lambda t: _psi(t, "dimension")),
            ">=",
            0,
        ),
        Claim(
            TAN,
            "with $η$ and $B$ fixed no positive link is shown (partial correlation of ranks; 95 % low end)",
            (_low_end(found),),
            "<=",
            0,
        ),
        Claim(
            TAN,
            "the last iterate's norm says as much ($|Ψ|$ of the norm less that of the dimension)",
            by_seed(found, lambda t: abs(_psi(t, "norm")) - abs(_psi(t, "dimension"))),
            ">=",
            0,
        ),
        Claim(
            ADAMS,
            "control: a straight path reads 1 (distance from it; 0.05 chosen by us)",
            by_seed(straight, lambda t: (t["value"] - 1).abs().max()),
            "<=",
            0.05,
        ),
        Claim(
            JIANG,
            "control: all nets fit their training set (largest error; 1 % chosen by us)",
            by_seed(found, lambda t: t["train"].max()),
            "<=",
            1,
            "%",
        ),
    ]


def _psi(nets: pd.DataFrame, measure: str) -> float:
    return granulated_kendall(nets, measure, "gap", [RATE, BATCH]).overall


def _low_end(nets: pd.DataFrame) -> float:
    try:
        return bootstrap_interval(nets, lambda t: partial_correlation(t, "dimension", "gap", [RATE, BATCH])).low
    except ValueError:
        return math.nan
