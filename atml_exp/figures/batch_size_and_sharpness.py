"""Sharpness and test error at the end of training against the batch size (Keskar et al. 2017)."""

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.panels import band, last_values, rows
from atml_exp.figures.style import BLUE, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

BATCH, RATE = "recipe.batch_size", "optimiser.learning_rate"
SWEEPS = {"same step size": (r"fixed $\eta$", BLUE, "-"), "same ratio": (r"fixed $\eta/B$", VERMILLION, "--")}
KESKAR, JASTRZEBSKI, COHEN = "Keskar et al. 2017", "Jastrzębski et al. 2018", "Cohen et al. 2021"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: λ_max of the training loss, dotted 2/η; right: test error; both against the batch size B."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    sharpness = rows(table, "sharpness/top")
    left.set_ylabel(r"sharpness $\lambda_{\max}$ at the end")
    _panel(left, sharpness, reach=1.1 * sharpness["value"].max())
    _thresholds(left, sharpness)
    right.set_ylabel("test error (%)")
    error = rows(table, "test/error")
    _panel(right, error, 100, reach=105 * last_values(error)["value"].max())
    return figure


def _panel(axes: Axes, found: pd.DataFrame, scale: float = 1.0, *, reach: float) -> None:
    axes.set_ylim(0, reach)
    labels = {}
    for sweep, (label, colour, line) in SWEEPS.items():
        chosen = last_values(found[found["sweep"] == sweep])
        if len(chosen):
            _, mean = band(axes, chosen, BATCH, colour, scale=scale, linestyle=line, marker="o", clip_on=False)
            labels[label] = (float(mean[-1]), colour)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(found[BATCH].unique()))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("batch size B")
    label_lines(axes, labels, size=16)


def _thresholds(axes: Axes, found: pd.DataFrame) -> None:
    """2/η where it is within sight: above it no step of gradient descent is stable."""
    for sweep, (_, colour, _) in SWEEPS.items():
        rate = found[found["sweep"] == sweep].groupby(BATCH)[RATE].first()
        top = axes.get_ylim()[1]
        axes.plot(rate.index, 2 / rate, ":", color=colour, linewidth=2.5, scalex=False, scaley=False)
        if (2 / rate).min() < top < (2 / rate).max():
            entry = float(np.exp(np.interp(-np.log(top), np.log(rate / 2), np.log(rate.index))))
            axes.annotate(
                r"$2/\eta$", (entry, top), (16, -6), textcoords="offset points", color=colour, va="top", size=16
            )


def claims(table: pd.DataFrame) -> list[Claim]:
    """Does sharpness grow with B; does it less where η grows along; does the test error follow."""
    top, error, train = (last_values(rows(table, n)) for n in ("sharpness/top", "test/error", "train/error"))
    fixed = top[top["sweep"] == "same step size"]
    return [
        Claim(
            KESKAR,
            "the larger the batch, the sharper (Kendall's $τ$ of $B$ and $λ_{max}$, fixed $η$; 1: at each step)",
            by_seed(fixed, lambda t: kendall(t, BATCH)),
            ">=",
            1,
        ),
        Claim(
            KESKAR,
            "large batches generalise worse (test error, largest − smallest $B$, fixed $η$)",
            by_seed(error[error["sweep"] == "same step size"], lambda t: 100 * _difference(t)),
            ">=",
            0,
            "%",
        ),
        Claim(
            KESKAR,
            "both fit the training set (largest training error, fixed $η$; 1 % chosen by us)",
            by_seed(train[train["sweep"] == "same step size"], lambda t: 100 * t["value"].max()),
            "<=",
            1,
            "%",
        ),
        Claim(
            JASTRZEBSKI,
            "at fixed $η/B$ sharpness depends less on $B$ (range of $log λ_{max}$, to that at fixed $η$)",
            by_seed(top, _relative_range),
            "<=",
            1,
        ),
        Claim(
            COHEN,
            "the sharpness never exceeds $2/η$ (largest $η λ_{max}/2$ of all $B$ and $η$)",
            by_seed(top, lambda t: (t[RATE] * t["value"] / 2).max()),
            "<=",
            1,
        ),
    ]


def _difference(runs: pd.DataFrame) -> float:
    at = runs.set_index(BATCH)["value"].sort_index()
    return float(at.iloc[-1] - at.iloc[0])


def _relative_range(top: pd.DataFrame) -> float:
    log = np.log(top["value"]).groupby(top["sweep"], observed=True)
    ranges = log.max() - log.min()
    return float(ranges["same ratio"] / ranges["same step size"])
