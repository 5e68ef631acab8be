"""Paths of gradient descent, line search and heavy ball in a bowl and in Rosenbrock's valley, with contours."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, new_slide, slide
from atml_exp.runs import Run
from atml_exp.theory import gd_quadratic

__all__ = ["SEEDS", "claims", "draw"]

SMALL, LARGE, SEARCH, BALL = "small step", "large step", "line search", "heavy ball"
VALLEY_FIXED, VALLEY_SEARCH = "valley, fixed step", "valley, line search"
BOWL = {SMALL: BLUE, LARGE: ORANGE, SEARCH: GREEN, BALL: VERMILLION}
VALLEY = {VALLEY_FIXED: BLUE, VALLEY_SEARCH: GREEN}
SEEDS = "the first of the seeds is drawn, from the square to the minimum, the cross"
NEAR = 0.01
"""Of the distance at the start: where a path has arrived."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Contours of the function, and every path's points."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    paths = _paths(table)  # of the first seed
    lam = _spectrum(table, SMALL)
    if lam is not None:
        _panel(
            left,
            {n: paths[n] for n in BOWL if n in paths},
            BOWL,
            lambda x, y: (lam[0] * x**2 + lam[1] * y**2) / 2,
            minimum=(0, 0),
        )
    _panel(
        right,
        {n: paths[n] for n in VALLEY if n in paths},
        VALLEY,
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        minimum=(1, 1),
    )
    for axes in (left, right):
        axes.set_xlabel("$w_1$")
    left.set_ylabel("$w_2$")
    return figure


def _panel(
    axes: Axes,
    paths: dict[str, np.ndarray],
    colours: dict[str, str],
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    minimum: tuple[float, float],
) -> None:
    if not paths:
        return
    points = np.concatenate([*paths.values(), [minimum]])
    margin = 0.15 * np.ptp(points, 0).max()
    low, high = points.min(0) - margin, points.max(0) + margin
    x, y = np.meshgrid(*(np.linspace(a, b, 200) for a, b in zip(low, high, strict=True)))
    z = function(x, y)
    axes.contour(x, y, z, levels=np.geomspace(z.max() * 1e-4, z.max(), 12), colors=GREY, linewidths=0.7)
    for name, path in paths.items():
        label = name.removeprefix("valley, ")
        axes.plot(*path.T, "o-", color=colours[name], markersize=4, linewidth=1.5, label=label)
    axes.plot(*points[0], "s", color=BLACK, markersize=8)
    axes.plot(*minimum, "X", color=BLACK, markersize=11, zorder=5)
    axes.legend(loc="best", fontsize=13)


def _paths(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Points (T + 1, 2) by sweep, of the run with its least seed."""
    first = table.sort_values("seed", kind="stable").drop_duplicates("sweep")
    directories = zip(first["sweep"], first["directory"], strict=True)
    return {str(sweep): Run(str(directory)).array("suboptimality/point")[1] for sweep, directory in directories}


def _spectrum(table: pd.DataFrame, sweep: str) -> list[float] | None:
    part = table[table["sweep"] == sweep]
    return json.loads(part["model.spectrum"].iloc[0]) if len(part) else None


def claims(table: pd.DataFrame) -> list[Claim]:
    """What each method's path does, from every start."""
    bowl, valley = (table[table["sweep"].isin(list(names))] for names in (BOWL, VALLEY))
    return [
        Claim(
            "theory",
            "fixed steps: each point is $(1 − ηλ_i)^t$ times the start (largest deviation; bound ours)",
            by_seed(bowl, lambda t: max(_deviation(t, name) for name in (SMALL, LARGE))),
            "<=",
            1e-12,
        ),
        Claim(
            "theory",
            "beyond $η = 1/L$ the steep coordinate changes its sign each time (of the first 50 steps)",
            by_seed(bowl, lambda t: _share_of_flips(_paths(t)[LARGE])),
            ">=",
            100,
            "%",
        ),
        Claim(
            "Nocedal & Wright 2006",
            "line search turns by a right angle each time (largest |cos|; bound ours)",
            by_seed(bowl, lambda t: _largest_cosine(_paths(t)[SEARCH])),
            "<=",
            1e-6,
        ),
        Claim(
            "Polyak 1964",
            "heavy ball arrives before both fixed steps (steps to 1 % of the distance, quotient)",
            by_seed(bowl, _first),
            "<=",
            1,
        ),
        Claim(
            "theory",
            "Rosenbrock's valley: line search ends nearer to (1, 1) than the fixed step (quotient)",
            by_seed(valley, lambda t: _end(_paths(t)[VALLEY_SEARCH]) / _end(_paths(t)[VALLEY_FIXED])),
            "<=",
            1,
        ),
    ]


def _deviation(table: pd.DataFrame, name: str) -> float:
    part = table[table["sweep"] == name]
    spectrum, rate = json.loads(part["model.spectrum"].iloc[0]), float(part["optimiser.learning_rate"].iloc[0])
    path = _paths(part)[name]
    exact = [gd_quadratic(spectrum, rate, t) * path[0] for t in range(len(path))]
    return float(np.abs(path - exact).max())


def _share_of_flips(path: np.ndarray) -> float:
    """In per cent."""
    steep = path[:51, 0]
    return float(100 * np.mean(steep[1:] * steep[:-1] < 0))


def _largest_cosine(path: np.ndarray) -> float:
    """Between successive steps, while they aren't rounding."""
    steps = np.diff(path[:51], axis=0)
    length = np.linalg.norm(steps, axis=1, keepdims=True)
    seen = length[:, 0] > 1e-9 * length[0, 0]
    units = (steps / np.where(length > 0, length, 1))[seen]
    return float(np.abs((units[1:] * units[:-1]).sum(1)).max())


def _first(table: pd.DataFrame) -> float:
    """Heavy ball's arrival to the earlier of the fixed steps'."""
    paths = _paths(table)
    return _arrival(paths[BALL]) / min(_arrival(paths[name]) for name in (SMALL, LARGE))


def _arrival(path: np.ndarray) -> float:
    """The step from which the distance stays below NEAR of that at the start; infinite where it never does."""
    distance = np.linalg.norm(path, axis=1)
    after = int(np.flatnonzero(distance > NEAR * distance[0])[-1]) + 1
    return float(after) if after < len(distance) else float("inf")


def _end(path: np.ndarray) -> float:
    return float(np.linalg.norm(path[-1] - 1))
