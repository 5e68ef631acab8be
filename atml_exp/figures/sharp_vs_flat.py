"""Sharpness and test error over a grid of batch and step sizes (Keskar et al. 2017; Jastrzębski et al. 2018)."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import PALETTE, new_slide, slide
from atml_exp.ranking import bootstrap_interval, granulated_kendall, kendall_tau

__all__ = ["claims", "draw"]

BATCH, RATE = "recipe.batch_size", "optimiser.learning_rate"
KESKAR, JASTRZEBSKI = "Keskar et al. 2017", "Jastrzębski et al. 2018"
LINES = ("-", "--", "-.", ":")


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: batch size, step size, seed, `ratio` η/B, and at the end `top` λ_max and `error`."""
    top, error = (last_values(rows(table, n)) for n in ("sharpness/top", "test/error"))
    return (
        top[["run_id", "seed", BATCH, RATE, "value"]]
        .rename(columns={"value": "top"})
        .merge(error[["run_id", "value"]].rename(columns={"value": "error"}), on="run_id")
        .assign(ratio=lambda t: (t[RATE] / t[BATCH]).round(12))  # ties stay ties
    )


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: λ_max of the training loss against η/B, a line for each batch size; right: test error against λ_max."""
    figure, found = new_slide(), by_run(table)
    left, right = figure.subplots(1, 2)
    for i, (batch, chosen) in enumerate(each(found, BATCH)):
        colour, line = PALETTE[i % len(PALETTE)], LINES[i % len(LINES)]
        tops = chosen.assign(value=chosen["top"])
        band(left, tops, "ratio", colour, marker="o", linestyle=line, label=f"B = {batch:g}")
        right.plot(chosen["top"], 100 * chosen["error"], "o", color=colour, alpha=0.75, markeredgewidth=0)
    for side in "xy":
        log_axis(left, side)
    left.set_xlabel(r"$\eta/B$, step size over batch size")
    left.set_ylabel(r"sharpness $\lambda_{\max}$ at the end")
    left.legend(loc="lower left")
    _errors(right, found)
    return figure


def _errors(axes: Axes, found: pd.DataFrame) -> None:
    log_axis(axes, "x")
    axes.set_xlabel(r"sharpness $\lambda_{\max}$ at the end")
    axes.set_ylabel("test error (%)")
    axes.set_ylim(0, 110 * max(found["error"].max(), 0.005))
    axes.set_title("each dot a net", fontsize=16)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Does sharpness follow B, η and their ratio; does the test error follow sharpness."""
    found, train = by_run(table), last_values(rows(table, "train/error"))
    return [
        Claim(
            KESKAR,
            "at each $η$, the larger $B$, the sharper (Kendall's $τ$ along $B$; 1: at each step)",
            by_seed(found, lambda t: along(t, "top", BATCH, BATCH)),
            ">=",
            1,
        ),
        Claim(
            JASTRZEBSKI,
            "at each $B$, the larger $η$, the flatter ($τ$ along $η$; −1: at each step)",
            by_seed(found, lambda t: along(t, "top", RATE, RATE)),
            "<=",
            -1,
        ),
        Claim(
            JASTRZEBSKI,
            "$η/B$ orders the nets better than $η$ or $B$ alone ($|τ|$ less the larger of theirs)",
            by_seed(found, _advantage_of_the_ratio),
            ">=",
            0,
        ),
        Claim(
            KESKAR,
            "sharper nets generalise worse (granulated $τ$ with test error, low end of 95 % interval)",
            (_lowest_agreement(found),),
            ">=",
            0,
            reason="an interval over seeds takes two at least",
        ),
        Claim(
            KESKAR,
            "all nets fit the training set (largest training error; 1 % chosen by us)",
            by_seed(train, lambda t: 100 * t["value"].max()),
            "<=",
            1,
            "%",
        ),
    ]


def along(table: pd.DataFrame, measure: str, target: str, axis: str) -> float:
    """τ-a as this axis alone varies, mean over the grid."""
    return round(granulated_kendall(table, measure, target, [BATCH, RATE]).by_axis[axis], 12)


def _lowest_agreement(runs: pd.DataFrame) -> float:
    """The low end of the bootstrap interval over seeds of Ψ, with one of η and B varied at a time."""
    if runs["seed"].nunique() < 2:
        return math.nan
    return bootstrap_interval(runs, lambda t: granulated_kendall(t, "top", "error", [BATCH, RATE]).overall).low


def _advantage_of_the_ratio(runs: pd.DataFrame) -> float:
    """By τ-b, which leaves out the pairs that η, B or their ratio ties: a coarse axis isn't blamed for its ties."""
    ratio, rate, batch = (abs(kendall_tau(runs[c], runs["top"], "b")) for c in ("ratio", RATE, BATCH))
    return ratio - max(rate, batch)
