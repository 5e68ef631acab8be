"""Training and test risk of classes with a dial: polynomials, nearest neighbours, random features, nets."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atml_exp.capacity import (
    Risks,
    bayes_error,
    cover_hart_bound,
    grid,
    nearest_neighbours_error,
    polynomial_risks,
    values,
)
from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILLION, new_figure, slide
from atml_exp.moons import bayes_error as moons_bayes_error

__all__ = ["claims", "draw"]

POLYNOMIALS, NEIGHBOURS, FEATURES, NETS = "polynomials", "neighbours", "random features", "nets"
DEGREE, K, WIDTH = "model.degree", "model.k", "model.width"
SPLITS = (("train", ORANGE), ("test", BLUE))
THEORY, COVER_HART = "theory", "Cover & Hart 1967"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Four classes; black: theory; dotted: what no predictor can do better than."""
    figure = new_figure(13.333, 4.4)
    grid = figure.add_gridspec(2, 4, height_ratios=(1, 0.04))
    panels = [figure.add_subplot(grid[0, i]) for i in range(4)]
    parts = [table[table["sweep"] == name] for name in (POLYNOMIALS, NEIGHBOURS, FEATURES, NETS)]
    for panel, axes, part in zip((_polynomials, _neighbours, _features, _nets), panels, parts, strict=True):
        if len(part):
            panel(axes, part)
    for axes, title in zip(panels, ("risk (squared)", "error (%)", "error (%)", "error (%)"), strict=True):
        axes.set_title(title)
    for axes, label in zip(
        panels, ("degree", "1/k of k neighbours", "random features", "width of a net"), strict=True
    ):
        axes.set_xlabel(label)
    _legend(figure.add_subplot(grid[1, :]))
    return figure


def _legend(axes: Axes) -> None:
    axes.set_axis_off()
    lines = [Line2D([], [], color=colour, marker="o", markersize=6) for _, colour in SPLITS]
    lines.append(Line2D([], [], color=BLACK, linewidth=1.8))
    lines.append(Line2D([], [], color=GREY, linestyle=":", linewidth=2.5))
    lines.append(Line2D([], [], color=GREY, linestyle="--", linewidth=2))
    names = ("training", "test", "theory", "best possible", "as many features as examples")
    axes.legend(lines, names, loc="center", ncols=5, fontsize=15)


def _polynomials(axes: Axes, part: pd.DataFrame) -> None:
    for (split, colour), name in zip(SPLITS, ("training", "test"), strict=True):
        band(axes, _risks(part, split), DEGREE, colour, linestyle="", marker="o", markersize=6)
        degrees = np.arange(int(part[DEGREE].min()), int(part[DEGREE].max()) + 1)
        exact = [getattr(_theory(part, int(degree)), name) for degree in degrees]
        axes.plot(degrees, exact, color=BLACK, linewidth=1.8, zorder=1)
    _floor(axes, float(part["dataset.noise"].iloc[0]) ** 2)
    log_axis(axes)


def _neighbours(axes: Axes, part: pd.DataFrame) -> None:
    inverse = part.assign(inverse=1 / part[K])
    _errors(axes, inverse, "inverse")
    k = np.unique(np.geomspace(1, part[K].max(), 60).astype(int) // 2 * 2 + 1)
    separation, spread = _mixture(part)
    limit = [100 * nearest_neighbours_error(int(one), separation, spread) for one in k]
    axes.plot(1 / k, limit, color=BLACK, linewidth=1.8, zorder=1)
    best = bayes_error(separation, spread)
    bound = 100 * cover_hart_bound(best)
    axes.hlines(bound, 0.15, 1.0, color=VERMILLION, linewidth=2.5)
    axes.text(0.13, bound, "$2R^*(1 − R^*)$", ha="right", va="center", fontsize=14, color=VERMILLION)
    _floor(axes, 100 * best)
    axes.set_ylim(0, 52)
    log_axis(axes, "x")


def _features(axes: Axes, part: pd.DataFrame) -> None:
    _moons(axes, part)
    axes.axvline(float(part["num_train"].iloc[0]), color=GREY, linestyle="--", linewidth=2, zorder=0)


def _nets(axes: Axes, part: pd.DataFrame) -> None:
    _moons(axes, part)


def _moons(axes: Axes, part: pd.DataFrame) -> None:
    _errors(axes, part, WIDTH)
    _floor(axes, 100 * moons_bayes_error(float(part["dataset.noise"].iloc[0])))
    axes.set_ylim(-1, 55)
    log_axis(axes, "x")


def _errors(axes: Axes, part: pd.DataFrame, x: str) -> None:
    for split, colour in SPLITS:
        band(axes, _last(part, f"{split}/error"), x, colour, scale=100, marker="o", markersize=6)


def _floor(axes: Axes, value: float) -> None:
    axes.axhline(value, color=GREY, linestyle=":", linewidth=2.5, zorder=0)


def _last(part: pd.DataFrame, metric: str) -> pd.DataFrame:
    return last_values(rows(part, metric))


def _risks(part: pd.DataFrame, split: str) -> pd.DataFrame:
    """E(y − ŷ)²: twice the loss."""
    last = _last(part, f"{split}/loss")
    return last.assign(value=2 * last["value"])


def _theory(part: pd.DataFrame, degree: int) -> Risks:
    """The same inputs under every seed."""
    function, noise = str(part["dataset.function"].iloc[0]), float(part["dataset.noise"].iloc[0])
    x, z = (grid(int(part[f"dataset.{key}"].iloc[0])) for key in ("num_train", "num_test"))
    return polynomial_risks(degree, x, z, values(function, x), values(function, z), noise)  # type: ignore[arg-type]


def _mixture(part: pd.DataFrame) -> tuple[float, float]:
    return float(part["dataset.separation"].iloc[0]), float(part["dataset.spread"].iloc[0])


def claims(table: pd.DataFrame) -> list[Claim]:
    """What is exact of nested classes, the limits of neighbours, and where U-curves are and aren't."""
    polynomials, neighbours, features, nets = (
        table[table["sweep"] == name] for name in (POLYNOMIALS, NEIGHBOURS, FEATURES, NETS)
    )
    nearest = neighbours[neighbours[K] == 1] if len(neighbours) else neighbours
    bayes = bayes_error(*_mixture(neighbours)) if len(neighbours) else float("nan")
    bound = cover_hart_bound(bayes) if len(neighbours) else float("nan")
    return [
        Claim(
            THEORY,
            "polynomials: the training risk never rises (largest rise by degree)",
            by_seed(_risks(polynomials, "train"), lambda t: float(t.sort_values(DEGREE)["value"].diff().max())),
            "<=",
            1e-12,
        ),
        Claim(
            THEORY,
            "polynomials: mean risks are the closed form's (largest deviation in s.e.)",
            (_largest_deviation(polynomials),),
            "<=",
            4,
        ),
        Claim(
            "Geman et al. 1992",
            "polynomials: the test risk falls, then rises (lesser of both ends to the least between)",
            by_seed(_risks(polynomials, "test"), lambda t: _ends(t, DEGREE) / _between(t, DEGREE)),
            ">=",
            1,
        ),
        Claim(
            THEORY,
            "one neighbour: an example's nearest is itself (training error)",
            by_seed(_last(nearest, "train/error"), _percent),
            "<=",
            0,
            "%",
        ),
        Claim(
            COVER_HART,
            "one neighbour: the test error is at most $2R^*(1 − R^*)$ in the limit",
            by_seed(_last(nearest, "test/error"), _percent),
            "<=",
            round(100 * bound, 2),
            "%",
        ),
        Claim(
            COVER_HART,
            "and at least the Bayes risk $R^*$",
            by_seed(_last(nearest, "test/error"), _percent),
            ">=",
            round(100 * bayes, 2),
            "%",
        ),
        Claim(
            COVER_HART,
            "$k ≤ √N$: errors are the limit's (largest deviation of means, in s.e. of one test set)",
            (_from_limit(neighbours),),
            "<=",
            4,
        ),
        Claim(
            "Belkin et al. 2019",
            "random features: beyond $N$ the test error falls again (at $N$ less the last)",
            by_seed(_last(features, "test/error"), _falls_again),
            ">=",
            0,
            "%",
        ),
        Claim(
            "Geman et al. 1992",
            "nets: the test error falls, then rises (lesser of both ends less the least between)",
            by_seed(_last(nets, "test/error"), lambda t: 100 * (_ends(t, WIDTH) - _between(t, WIDTH))),
            ">=",
            0,
            "%",
        ),
    ]


def _percent(runs: pd.DataFrame) -> float:
    return 100 * float(runs["value"].iloc[0])


def _ends(runs: pd.DataFrame, x: str) -> float:
    ordered = runs.sort_values(x)["value"]
    return float(min(ordered.iloc[0], ordered.iloc[-1]))


def _between(runs: pd.DataFrame, x: str) -> float:
    return float(runs.sort_values(x)["value"].iloc[1:-1].min())


def _largest_deviation(part: pd.DataFrame) -> float:
    """Over degrees and both splits, of the mean from its expectation, in units of its exact standard error."""
    if not len(part):
        return float("nan")
    found = []
    for split, name in (("train", "training"), ("test", "test")):
        for degree, runs in each(_risks(part, split), DEGREE):
            exact = _theory(part, int(degree))
            error = getattr(exact, f"{name}_spread") / len(runs) ** 0.5
            found.append(abs(runs["value"].mean() - getattr(exact, name)) / error)
    return float(max(found))


def _from_limit(part: pd.DataFrame) -> float:
    """Of the seeds' mean; the seeds share their test set, so its size alone counts."""
    if not len(part):
        return float("nan")
    few = part[part[K] ** 2 <= part["num_train"]]
    deviation: Callable[[int, pd.DataFrame], float] = lambda k, runs: (  # noqa: E731
        _in_errors(
            float(runs["value"].mean()), nearest_neighbours_error(k, *_mixture(part)), int(runs["num_test"].iloc[0])
        )
    )
    return max(deviation(int(k), runs) for k, runs in each(_last(few, "test/error"), K))


def _in_errors(share: float, expected: float, number: int) -> float:
    return abs(share - expected) / float(np.sqrt(expected * (1 - expected) / number))


def _falls_again(runs: pd.DataFrame) -> float:
    ordered = runs.sort_values(WIDTH)
    full = ordered[ordered[WIDTH] >= ordered["num_train"]]["value"]
    if len(full) < 2:
        raise ValueError("it takes two widths from as many features as examples on")
    return 100 * float(full.iloc[0] - full.iloc[-1])
