"""Training error, time to fit and test error against the fraction of random labels (Zhang et al. 2017)."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import t as student

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.panels import band, each, last_values, rows, sweeps
from atml_exp.figures.style import BLACK, BLUE, GREY, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

FRACTION = "dataset.wrapper.random_labels.fraction"
PAPER = "Zhang et al. 2017"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: training error by epoch. Right: epochs until it is 0, and the test error, against the fraction p."""
    figure = new_slide()
    panels = figure.subplot_mosaic([["fit", "time"], ["fit", "test"]], width_ratios=[6, 5])
    _curves(panels["fit"], table)
    labels = table[table["sweep"] == "labels"]
    _times(panels["time"], labels)
    _test_errors(panels["test"], labels)
    return figure


def _curves(axes: Axes, table: pd.DataFrame) -> None:
    error = rows(table, "train/error")
    for p, runs in each(error[error["sweep"] == "labels"], FRACTION):
        band(axes, runs, "epoch", colormaps["viridis"](0.88 * p), scale=100, label=f"p = {100 * p:g} %")
    for (name, runs), line in zip(sweeps(error[error["sweep"] != "labels"]), ("--", ":"), strict=False):
        band(axes, runs, "epoch", BLACK, scale=100, linestyle=line, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training error (%)")
    axes.set_ylim(-1, None)
    axes.set_xlim(0, error["epoch"].max())
    axes.legend(loc="upper right")


def _times(axes: Axes, labels: pd.DataFrame) -> None:
    times = epochs_to_fit(labels)
    at, _ = band(axes, times[np.isfinite(times["value"])], FRACTION, BLUE, marker="o", clip_on=False)
    axes.set_ylabel("epochs to fit")
    axes.set_ylim(0, None)
    _fractions(axes, at)
    axes.tick_params(labelbottom=False)


def _test_errors(axes: Axes, labels: pd.DataFrame) -> None:
    last = last_values(rows(labels, "test/error"))
    at, _ = band(axes, last, FRACTION, VERMILLION, scale=100, marker="o", clip_on=False)
    chance = _chance(labels)
    axes.axhline(100 * chance, color=GREY, linestyle="--", linewidth=2)
    label_lines(axes, {"chance": (100 * chance, GREY)}, size=16)
    axes.set_ylabel("test error (%)")
    axes.set_ylim(0, 100)
    axes.set_xlabel("fraction p of random training labels")
    _fractions(axes, at)


def _fractions(axes: Axes, at: np.ndarray) -> None:
    axes.set_xticks(at)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.spines["left"].set_color(BLACK)


def epochs_to_fit(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: `value` is the first epoch with training error 0, infinite where there was none."""
    error = rows(table, "train/error").sort_values("step", kind="stable")
    first = error.groupby("run_id", observed=True, sort=False).head(1).set_index("run_id")
    zero = error[error["value"] == 0].groupby("run_id", observed=True)["epoch"].min()
    return first.assign(value=zero.reindex(first.index).fillna(np.inf)).reset_index()


def claims(table: pd.DataFrame) -> list[Claim]:
    """Every labelling is fitted, ever more slowly; random labels give the test error of guessing."""
    train, test = (last_values(rows(table, f"{split}/error")) for split in ("train", "test"))
    labels = table[table["sweep"] == "labels"]
    random = test[(test["sweep"] == "labels") & (test[FRACTION] == 1)]
    return [
        Claim(
            PAPER,
            "random labels are fitted at every fraction $p$ (last training error, worst $p$)",
            by_seed(train[train["sweep"] == "labels"], lambda t: 100 * t["value"].max()),
            "<=",
            0,
            "%",
        ),
        Claim(
            PAPER,
            "so are shuffled pixels and inputs of noise (last training error, worse of both)",
            by_seed(train[train["sweep"] != "labels"], lambda t: 100 * t["value"].max()),
            "<=",
            0,
            "%",
        ),
        Claim(
            PAPER,
            "random labels take longer to fit than true ones (ratio of epochs, $p = 1$ to $p = 0$)",
            by_seed(epochs_to_fit(labels), _slowdown),
            ">=",
            1,
        ),
        Claim(
            PAPER,
            "the larger $p$, the longer (Kendall's $τ$ of $p$ and epochs to fit; 1: at each step)",
            by_seed(epochs_to_fit(labels), lambda t: kendall(t, FRACTION)),
            ">=",
            1,
        ),
        Claim(
            PAPER,
            "at $p = 1$ the test error is that of guessing (distance in standard errors over seeds; 95 %)",
            (_standard_errors(random["value"].to_numpy() - _chance(labels)),),
            "<=",
            float(student.ppf(0.975, max(len(random) - 1, 1))),
            reason="it takes two seeds at least",
        ),
    ]


def _chance(labels: pd.DataFrame) -> float:
    """1 − 1/C, C the number of classes."""
    return 1 - 1 / float(labels["num_classes"].iloc[0])


def _slowdown(times: pd.DataFrame) -> float:
    epochs = times.set_index(FRACTION)["value"]
    return float(epochs.loc[1.0] / epochs.loc[0.0])


def _standard_errors(differences: np.ndarray) -> float:
    """|mean| in standard errors; NaN for fewer than two. Images of one class are alike, and so are guesses on them:
    the spread over seeds counts, and not that of as many independent guesses as there are images.
    """
    if len(differences) < 2:
        return float("nan")
    return float(abs(differences.mean()) / (differences.std(ddof=1) / np.sqrt(len(differences))))
