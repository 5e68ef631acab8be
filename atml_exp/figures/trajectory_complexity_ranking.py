"""How well measures of complexity rank nets by their generalisation gap (Andreeva et al. 2024; Tan et al. 2024)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, new_figure, slide
from atml_exp.ranking import bootstrap_interval, granulated_kendall, partial_correlation

__all__ = ["MEASURES", "claims", "draw"]

BATCH, RATE = "recipe.batch_size", "optimiser.learning_rate"
AXES = [RATE, BATCH]
ANDREEVA, TAN, JIANG = "Andreeva et al. 2024", "Tan et al. 2024", "Jiang et al. 2020"


class Measure(NamedTuple):
    """metric: its name; sign: −1 where a larger value should mean a smaller gap."""

    label: str
    metric: str
    colour: str
    sign: int = 1


MEASURES = (
    Measure(r"$-\eta/B$ (control)", "ratio", GREY, -1),
    Measure(r"final norm $\|w\|$ (control)", "norms/weights", GREY),
    Measure(r"distance $\|w - w_0\|$", "norms/distance", BLUE),
    Measure("product of spectral norms", "norms/spectral_product", BLUE),
    Measure("path norm", "norms/path", BLUE),
    Measure("normalised margin, negative", "margins/normalised_quantile", GREEN, -1),
    Measure(r"sharpness $\lambda_{\max}$", "sharpness/top", VERMILLION),
    Measure(r"PAC-Bayes $1/\sigma^2$", "pac_bayes/inverse", VERMILLION),
    Measure(r"PAC-Bayes KL from $w_0$", "pac_bayes/kl_initialisation", VERMILLION),
    Measure("PH dimension", "fractal_dimension/dimension", PURPLE),
    Measure("PH dimension, loss metric", "fractal_dimension_loss/dimension", PURPLE),
    Measure(r"$E_1$", "fractal_dimension/weighted_sum", PURPLE),
    Measure(r"$E_1$, loss metric", "fractal_dimension_loss/weighted_sum", PURPLE),
    Measure(r"PMag($\sqrt{N}$)", "magnitude/positive_sqrt_n", PURPLE),
    Measure(r"PMag($\sqrt{N}$), loss metric", "magnitude_loss/positive_sqrt_n", PURPLE),
    Measure("PMag(0.01)", "magnitude/positive_small", PURPLE),
)
NORMS, TRAJECTORY = ([m.metric for m in MEASURES if m.colour == colour] for colour in (BLUE, PURPLE))


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each net: η, B, seed, its `gap` (test error − training error), `ratio` −η/B, and each measure, with
    the sign that makes a larger one stand for a larger gap; NaN where it wasn't measured.
    """
    last = table.sort_values("step", kind="stable").groupby(["run_id", "name"], observed=True)["value"].last()
    values = last.unstack().reindex(columns=[m.metric for m in MEASURES] + ["test/error", "train/error"])
    runs = table.groupby("run_id", observed=True)[[*AXES, "seed"]].first().join(values)
    runs["ratio"] = runs[RATE] / runs[BATCH]
    signed = {m.metric: m.sign * runs[m.metric] for m in MEASURES}
    return runs.assign(gap=runs["test/error"] - runs["train/error"], **signed).reset_index()


def score(runs: pd.DataFrame, metric: str) -> float:
    """Ψ of a measure and the gap, over η and B, seeds held fixed; of the nets for which it is a number."""
    return granulated_kendall(runs[np.isfinite(runs[metric])], metric, "gap", AXES).overall


def left_over(runs: pd.DataFrame, metric: str) -> float:
    """Spearman's correlation of a measure and the gap, given η and B and their interaction: what seeds leave."""
    finite = runs[np.isfinite(runs[metric])]
    place = finite.groupby(AXES, observed=True).ngroup()
    return partial_correlation(finite.assign(place=place), metric, "gap", ["place"])


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: Ψ of each measure with its 95 % interval over seeds, and ψ of each axis; right: partial correlation."""
    figure, runs = new_figure(13.333, 7.2), by_run(table)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    for at, measure in enumerate(reversed(MEASURES)):
        _bar(left, at, runs, measure, score)
        _bar(right, at, runs, measure, left_over)
        _axes_of(left, at, runs, measure)
    left.set_yticks(range(len(MEASURES)), [m.label for m in reversed(MEASURES)], size=14)
    left.set_xlabel(r"granulated Kendall coefficient $\Psi$ with the gap")
    right.set_xlabel(r"correlation given $\eta$ and $B$")
    for axes in (left, right):
        axes.axvline(0, color=BLACK, linewidth=1.2, zorder=0)
        axes.set_xlim(-1.05, 1.05)
        axes.set_xticks([-1, -0.5, 0, 0.5, 1])
        axes.set_ylim(-0.7, len(MEASURES) - 0.3)
    left.set_title(_key(runs), fontsize=14)
    right.set_title("only seeds vary", fontsize=14)
    return figure


def _bar(
    axes: Axes, at: float, runs: pd.DataFrame, measure: Measure, statistic: Callable[[pd.DataFrame, str], float]
) -> None:
    """The value and its interval; nothing where there is no value."""
    value = _attempt(lambda: statistic(runs, measure.metric))
    if not math.isfinite(value):
        return
    if runs["seed"].nunique() > 1:
        axes.plot(
            interval(runs, measure.metric, statistic), [at, at], color=measure.colour, linewidth=5, alpha=0.35
        )
    axes.plot(value, at, "o", color=measure.colour, markersize=9)


def interval(
    runs: pd.DataFrame, metric: str, statistic: Callable[[pd.DataFrame, str], float]
) -> tuple[float, float]:
    """The 95 % bootstrap interval over seeds."""
    columns = runs[[metric, "gap", "seed", *AXES]].loc[:, lambda t: ~t.columns.duplicated()]
    return bootstrap_interval(columns, lambda t: statistic(t, metric))


def _axes_of(axes: Axes, at: float, runs: pd.DataFrame, measure: Measure) -> None:
    """ψ of each axis, small."""
    finite = runs[np.isfinite(runs[measure.metric])]
    for axis, marker, size in ((RATE, "x", 6), (BATCH, "+", 8)):
        value = _attempt(
            lambda axis=axis: granulated_kendall(finite, measure.metric, "gap", AXES).by_axis[axis]  # type: ignore[misc]
        )
        axes.plot(value, at, marker, color=BLACK, markersize=size, zorder=3)


def _key(runs: pd.DataFrame) -> str:
    """What the marks mean, with the number of cells behind each."""
    cells = granulated_kendall(runs, "gap", "gap", AXES).cells
    return rf"× only $\eta$ varies ({cells[RATE]} cells), + only $B$ ({cells[BATCH]}); bars: 95 %"


def claims(table: pd.DataFrame) -> list[Claim]:
    """The topological measures beat PH dimension; the controls, and what is left given the hyperparameters."""
    runs = by_run(table)
    dimension, loss_dimension = "fractal_dimension/dimension", "fractal_dimension_loss/dimension"
    sums = {dimension: "fractal_dimension/weighted_sum", loss_dimension: "fractal_dimension_loss/weighted_sum"}
    magnitudes = {dimension: "magnitude/positive_sqrt_n", loss_dimension: "magnitude_loss/positive_sqrt_n"}

    def lead(better: dict[str, str]) -> tuple[float, ...]:
        return by_seed(runs, lambda t: min(score(t, b) - score(t, a) for a, b in better.items()))

    return [
        Claim(
            ANDREEVA, "$E_1$ beats PH dimension under both metrics (smaller difference of $Ψ$)", lead(sums), ">=", 0
        ),
        Claim(
            ANDREEVA,
            "PMag($√N$) beats PH dimension under both metrics (smaller difference of $Ψ$)",
            lead(magnitudes),
            ">=",
            0,
        ),
        Claim(
            TAN,
            "the final norm does better than PH dimension (difference of $Ψ$)",
            by_seed(runs, lambda t: score(t, "norms/weights") - score(t, dimension)),
            ">=",
            0,
        ),
        Claim(
            TAN,
            "no measure of the trajectory does better than $−η/B$ (largest difference of $Ψ$)",
            by_seed(runs, lambda t: max(score(t, m) for m in TRAJECTORY) - score(t, "ratio")),
            "<=",
            0,
        ),
        Claim(
            TAN,
            "given $η$ and $B$ PH dimension says nothing (partial correlation, low end of 95 % interval)",
            (_attempt(lambda: interval(runs, dimension, left_over)[0]),),
            "<=",
            0,
            reason="an interval over seeds takes two at least",
        ),
        Claim(
            JIANG,
            "PAC-Bayes $1/σ^2$ beats all norms (difference of $Ψ$ to the best of them)",
            by_seed(runs, lambda t: score(t, "pac_bayes/inverse") - max(score(t, m) for m in NORMS)),
            ">=",
            0,
        ),
        Claim(
            ANDREEVA,
            "all nets fit the training set (largest training error)",
            by_seed(runs, lambda t: 100 * t["train/error"].max()),
            "<=",
            0,
            "%",
        ),
    ]


def _attempt(quantity: Callable[[], float]) -> float:
    try:
        return quantity()
    except ValueError:
        return math.nan
