"""Where linear classifiers, random features and a net change their answer, and the margins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, ORANGE, new_slide, slide
from atml_exp.moons import best_line_error, moon_log_odds
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

PERCEPTRON, LOGISTIC, SVM = "perceptron", "logistic regression", "linear SVM"
LINE, FEATURES, NET = "moons: linear SVM", "moons: random features", "moons: MLP"
NEIGHBOURS = "moons: neighbours"
MARGIN, LARGEST, ANGLE = "hard_margin/margin", "hard_margin/maximum", "hard_margin/angle"
NOISE = "dataset.noise"
BETWEEN = LinearSegmentedColormap.from_list("between", ["#F9DFA8", "#FFFFFF", "#B5D8EC"])
"""From class 0 to class 1: faint versions of ORANGE and BLUE."""

SEEDS = "points and thick lines: the first seed; colour: the share of seeds that answer so; per cent: test errors"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Above, two Gaussians, below, two moons: answers by the share of seeds that give them, and boundaries."""
    figure = new_slide()
    grid = figure.add_gridspec(3, 12, height_ratios=(1, 1, 0.06))
    above = [figure.add_subplot(grid[0, k : k + 4]) for k in (0, 4, 8)]
    below = [figure.add_subplot(grid[1, k : k + 3]) for k in (0, 3, 6, 9)]
    for axes, name in zip(above, (PERCEPTRON, LOGISTIC, SVM), strict=True):
        quotient = _values(table, name, MARGIN).mean() / _values(table, name, LARGEST).mean()
        _panel(axes, table, name, f"{name}: margin {quotient:.2f} $\\gamma$")
        _margins(axes, table, name)
    for axes, name in zip(below, (LINE, FEATURES, NET, NEIGHBOURS), strict=True):
        error = 100 * _values(table, name, "test/error").mean()
        _panel(axes, table, name, f"{name.removeprefix('moons: ')}: {error:.1f} %")
        axes.set_xlabel("$x_1$")
    for axes in (above[0], below[0]):
        axes.set_ylabel("$x_2$")
    _legend(figure.add_subplot(grid[2, :]))
    return figure


def _values(table: pd.DataFrame, sweep: str, metric: str) -> pd.Series:
    return last_values(rows(table[table["sweep"] == sweep], metric))["value"]


def _panel(axes: Axes, table: pd.DataFrame, name: str, title: str) -> None:
    axes.set_title(title, fontsize=16)
    axes.grid(False)
    runs = _directories(table, name)
    if not runs:
        return
    grids = [_array(run, "scores") for run in runs]
    first, second = (_array(runs[0], key) for key in ("first", "second"))
    share = np.mean([grid > 0 for grid in grids], 0)
    axes.pcolormesh(first, second, share, cmap=BETWEEN, vmin=0, vmax=1, shading="nearest", rasterized=True)
    for grid in grids[1:]:
        _contour(axes, first, second, grid, 0, colors=GREY, linewidths=0.8, alpha=0.7)
    _best(axes, table, name, first, second)
    _contour(axes, first, second, grids[0], 0, colors=BLACK, linewidths=2.5)
    inputs, labels = _array(runs[0], "inputs"), _array(runs[0], "labels")
    for label, colour, marker in ((0, ORANGE, "o"), (1, BLUE, "^")):
        shown = inputs[labels == label]
        axes.plot(*shown.T, marker, color=colour, markersize=4, markeredgecolor="white", markeredgewidth=0.4)
    axes.set_xlim(first[0], first[-1])
    axes.set_ylim(second[0], second[-1])


def _contour(
    axes: Axes, first: np.ndarray, second: np.ndarray, scores: np.ndarray, level: float, **look: Any
) -> None:
    """Where the scores cross the level, if they do."""
    if scores.min() < level < scores.max():
        axes.contour(first, second, scores, levels=[level], **look)


def _best(axes: Axes, table: pd.DataFrame, name: str, first: np.ndarray, second: np.ndarray) -> None:
    """The Bayes rule's boundary: of the Gaussians, which mirror each other about x₁ = 0, that axis."""
    if name in (PERCEPTRON, LOGISTIC, SVM):
        axes.axvline(0, color=BLACK, linewidth=1.8, linestyle=(0, (1, 1.5)))
        return
    noise = float(table[table["sweep"] == name][NOISE].iloc[0])
    odds = moon_log_odds(np.stack(np.meshgrid(first, second), -1), noise)
    _contour(axes, first, second, odds, 0, colors=BLACK, linewidths=1.8, linestyles=[(0, (1, 1.5))])


def _margins(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """The first seed's margin as dashed lines on both sides of its line."""
    for run in _directories(table, name)[:1]:
        grid, first, second = (_array(run, key) for key in ("scores", "first", "second"))
        across, up = (grid[0, -1] - grid[0, 0]) / np.ptp(first), (grid[-1, 0] - grid[0, 0]) / np.ptp(second)
        slope = np.hypot(across, up)  # ‖w‖
        margin = float(_values(table[table["directory"] == run], name, MARGIN).iloc[0]) * slope
        for level in (-margin, margin):
            _contour(axes, first, second, grid, level, colors=BLACK, linewidths=1.2, linestyles="dashed")


def _legend(axes: Axes) -> None:
    axes.set_axis_off()
    lines = [
        Line2D([], [], color=BLACK, linewidth=2.5, label="boundary"),
        Line2D([], [], color=BLACK, linewidth=1.2, linestyle="dashed", label="its margin"),
        Line2D([], [], color=GREY, linewidth=0.8, label="other seeds"),
        Line2D([], [], color=BLACK, linewidth=1.8, linestyle=(0, (1, 1.5)), label="Bayes rule"),
    ]
    axes.legend(handles=lines, loc="center", ncols=4, fontsize=14)


def _directories(table: pd.DataFrame, sweep: str) -> list[str]:
    """Of the runs of a sweep, by seed."""
    part = table[table["sweep"] == sweep].drop_duplicates("run_id").sort_values("seed", kind="stable")
    return [str(directory) for directory in part["directory"]]


def _array(directory: str, key: str) -> np.ndarray:
    """What the probe has recorded last."""
    return Run(Path(directory)).array(f"decision_boundary/{key}")[1][-1]


def claims(table: pd.DataFrame) -> list[Claim]:
    """The perceptron's bound, margins beside the largest, and what no line can do."""
    return [
        Claim(
            "Novikoff 1962",
            r"perceptron: mistakes in all, to the bound $(R/\gamma)^2$",
            _quotients(table, PERCEPTRON, "mistakes/total", PERCEPTRON, "hard_margin/mistake_bound"),
            "<=",
            1,
        ),
        Claim(
            "Novikoff 1962",
            "perceptron: at the end it makes none (training error)",
            _of(table, PERCEPTRON, "train/error", 100),
            "<=",
            0,
            "%",
        ),
        Claim(
            "Boser et al. 1992",
            "SVM: its margin to the largest there is, by an exact solver (bound ours)",
            _quotients(table, SVM, MARGIN, SVM, LARGEST),
            ">=",
            0.99,
        ),
        Claim(
            "Boser et al. 1992",
            "the perceptron's margin to the SVM's on the same data",
            _quotients(table, PERCEPTRON, MARGIN, SVM, MARGIN),
            "<=",
            1,
        ),
        Claim(
            "Soudry et al. 2018",
            "logistic regression turns to the SVM's direction (change of the angle, from step 1)",
            by_seed(_part(table, LOGISTIC), _turned),
            "<=",
            0,
            "°",
        ),
        Claim(
            "theory",
            "moons: random features and the MLP beat the best line (larger test error)",
            by_seed(table, lambda t: 100 * max(_last(_part(t, name), "test/error") for name in (FEATURES, NET))),
            "<=",
            round(100 * _line(table), 2),
            "%",
        ),
    ]


def _part(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return table[table["sweep"] == sweep]


def _of(table: pd.DataFrame, sweep: str, metric: str, scale: float = 1.0) -> tuple[float, ...]:
    """The last value of each seed's run."""
    return by_seed(_part(table, sweep), lambda t: scale * _last(t, metric))


def _last(runs: pd.DataFrame, metric: str) -> float:
    return float(last_values(rows(runs, metric))["value"].iloc[0])


def _quotients(table: pd.DataFrame, over: str, metric: str, under: str, other: str) -> tuple[float, ...]:
    """By seed, of the last values of two metrics."""
    quotient: Callable[[pd.DataFrame], float] = lambda t: (  # noqa: E731
        _last(_part(t, over), metric) / _last(_part(t, under), other)
    )
    return by_seed(table[table["sweep"].isin([over, under])], quotient)


def _turned(runs: pd.DataFrame) -> float:
    angles = rows(runs, ANGLE).sort_values("step")["value"]
    return float(angles.iloc[-1] - angles.iloc[0])


def _line(table: pd.DataFrame) -> float:
    """The least error of a straight line on the table's moons; NaN without any."""
    noise = table[table["sweep"] == NET].get(NOISE, pd.Series(dtype=float))
    return best_line_error(float(noise.iloc[0])) if len(noise) else float("nan")
