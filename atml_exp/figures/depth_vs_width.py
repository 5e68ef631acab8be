"""Error and number of pieces of ReLU nets of equal size, from shallow to deep, and test errors on real data."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILLION, label_lines, new_slide, slide
from atml_exp.piece_bounds import least_tent_error, most_pieces

__all__ = ["SEEDS", "claims", "draw"]

TENTS = ("two folds", "three folds", "four folds")
SEEDS = "left: bars: range over seeds; else lines: mean over seeds; bands: their range"
COLOURS = {1: VERMILLION, 2: ORANGE, 4: BLUE, 8: BLACK}
DIGITS = "digits"
DEPTH, WIDTH, RATE, FOLDS = "model.depth", "model.width", "optimiser.learning_rate", "dataset.folds"
VARIANCE = 1 / 12
"""Of the tent map on [0, 1], whatever its folds."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: error on the tent map by depth. Middle: pieces. Right: test error on digits."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _errors(left, table)
    _counts(middle, table)
    _digits(right, table)
    for axes in (middle, right):
        axes.set_xlabel("hidden layers $L$")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(table[DEPTH].unique()), [f"{depth:g}" for depth in sorted(table[DEPTH].unique())])
        axes.minorticks_off()
    return figure


def _errors(axes: Axes, table: pd.DataFrame) -> None:
    """Means with the range over seeds as bars, beside one another."""
    labels = {}
    depths = sorted(_tents(table)[DEPTH].unique())
    for i, depth in enumerate(depths):
        part, colour = _tents(table)[_tents(table)[DEPTH] == depth], COLOURS.get(int(depth), GREY)
        grouped = _tent_errors(part).groupby(FOLDS)["value"]
        mean, low, high = (getattr(grouped, of)() for of in ("mean", "min", "max"))
        at = mean.index + 0.07 * (i - (len(depths) - 1) / 2)
        axes.errorbar(at, mean, [mean - low, high - mean], fmt="o-", color=colour, elinewidth=1.8, linewidth=2)
        labels[f"$L = {depth:g}$"] = (float(mean.iloc[-1]), colour)
    axes.axhline(1, color=BLACK, linewidth=1.5, linestyle=":")
    axes.text(0.03, 1.02, "best constant", transform=axes.get_yaxis_transform(), fontsize=14)
    axes.set_title("error, of the variance")
    axes.set_xlabel("folds $k$ of the tent map")
    axes.set_xticks(sorted(_tents(table)[FOLDS].unique()))
    axes.set_ylim(0, 1.2)
    label_lines(axes, labels)


def _counts(axes: Axes, table: pd.DataFrame) -> None:
    part = _in_the_middle(table)
    counts = rows(part, "linear_pieces/pieces")
    first = counts[counts["step"] == 0]
    for when, marker, colour in ((first, "o", VERMILLION), (_best(last_values(counts), part), "s", BLUE)):
        band(axes, when, DEPTH, colour, marker=marker, label="start" if when is first else "end")
    shapes = part.drop_duplicates([DEPTH]).sort_values(DEPTH)
    axes.plot(shapes[DEPTH], shapes[DEPTH] * shapes[WIDTH], "--", color=GREY, linewidth=2, label="units")
    most = [most_pieces(int(w), int(d)) for w, d in zip(shapes[WIDTH], shapes[DEPTH], strict=True)]
    axes.plot(shapes[DEPTH], most, color=BLACK, linewidth=1.5, label="$(m + 1)^L$")
    axes.axhline(2 ** part[FOLDS].iloc[0], color=BLACK, linewidth=1.5, linestyle=":", label="tent map")
    axes.set_title(f"pieces, {part['sweep'].iloc[0]}")
    axes.set_ylim(1, 3e6)
    log_axis(axes)
    axes.legend(loc="upper left", fontsize=14, ncols=2, labelspacing=0.25, columnspacing=0.8, handlelength=1.4)


def _digits(axes: Axes, table: pd.DataFrame) -> None:
    part = table[table["sweep"] == DIGITS]
    band(axes, _best(last_values(rows(part, "test/error")), part), DEPTH, BLUE, scale=100, marker="o")
    axes.set_title("test error on digits (%)")
    axes.set_ylim(0, None)


def _best(values: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Of the runs of each sweep, depth and seed that with the step size of the least training loss at the end."""
    loss = last_values(rows(runs, "train/loss")).dropna(subset="value").sort_values("value", kind="stable")
    chosen = loss.drop_duplicates(["sweep", DEPTH, "seed"])["run_id"]
    return values[values["run_id"].isin(chosen)]


def _tent_errors(runs: pd.DataFrame) -> pd.DataFrame:
    """`value`: mean squared error on [0, 1] over the map's variance; the loss is half of it."""
    found = _best(last_values(rows(runs, "test/loss")), runs)
    return found.assign(value=2 * found["value"] / VARIANCE)


def _tents(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["sweep"].isin(TENTS)]


def _in_the_middle(table: pd.DataFrame) -> pd.DataFrame:
    """Of three folds: fewer are easy for all nets, more for none."""
    return table[table["sweep"] == "three folds"]


def claims(table: pd.DataFrame) -> list[Claim]:
    """What depth can do, what it does when it is trained, and what it does on real data."""
    tents, middle = _tents(table), _in_the_middle(table)
    digits = table[table["sweep"] == DIGITS]
    return [
        Claim(
            "Raghu et al. 2017",
            "$L$ layers of $m$ units have at most $(m + 1)^L$ pieces (largest quotient)",
            by_seed(tents, _largest_of_bound),
            "<=",
            1,
        ),
        Claim(
            "Telgarsky 2016",
            "a net of $t$ pieces leaves at least $1 − 2(t − 1)/2^k$ of the variance (least excess)",
            by_seed(tents, _least_excess),
            ">=",
            0,
        ),
        *(
            Claim(
                "Telgarsky 2016",
                f"at equal parameters {depth} layers fit three folds better than 1 (errors, quotient)",
                by_seed(middle, partial(_against_one, depth=depth)),
                "<=",
                1,
            )
            for depth in (4, 8)
        ),
        Claim(
            "Hanin & Rolnick 2019",
            "at the start there are no more pieces than units, however deep (largest quotient; bound ours)",
            by_seed(tents, lambda t: float(_per_unit(t, start=True).max())),
            "<=",
            1,
        ),
        Claim(
            "Hanin & Rolnick 2019",
            "and at the end (bound ours)",
            by_seed(tents, lambda t: float(_per_unit(t, start=False).max())),
            "<=",
            1,
        ),
        Claim(
            "we",
            "digits: depth matters little (largest less least test error over depths; bound ours)",
            by_seed(digits, lambda t: 100 * float(np.ptp(_best(last_values(rows(t, "test/error")), t)["value"]))),
            "<=",
            2,
            "%",
        ),
    ]


def _against_one(runs: pd.DataFrame, depth: int) -> float:
    """The error of nets of so many layers over that of one layer."""
    found = _tent_errors(runs).set_index(DEPTH)["value"]
    return float(found[depth] / found[1])


def _largest_of_bound(runs: pd.DataFrame) -> float:
    counts = rows(runs, "linear_pieces/pieces")
    bounds = [most_pieces(int(w), int(d)) for w, d in zip(counts[WIDTH], counts[DEPTH], strict=True)]
    return float((counts["value"] / bounds).max())


def _least_excess(runs: pd.DataFrame) -> float:
    """Over all trained nets, of both step sizes."""
    errors = last_values(rows(runs, "test/loss")).set_index("run_id")
    pieces = last_values(rows(runs, "linear_pieces/pieces")).set_index("run_id")["value"]
    least = [
        float(least_tent_error(pieces[run], int(folds)))
        for run, folds in zip(errors.index, errors[FOLDS], strict=True)
    ]
    return float((2 * errors["value"] / VARIANCE - least).min())


def _per_unit(runs: pd.DataFrame, *, start: bool) -> pd.Series:
    counts = rows(runs, "linear_pieces/pieces")
    counts = counts[counts["step"] == 0] if start else last_values(counts)
    return counts["value"] / (counts[WIDTH] * counts[DEPTH])
