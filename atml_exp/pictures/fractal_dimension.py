"""The fit behind a persistent-homology dimension: E_α(n) against n on logarithmic axes."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    label_lines,
    new_figure,
    readable_log_ticks,
    style,
)
from atml_exp.pictures.recorded import last, number, option
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["Fit", "caption", "draw", "fit"]


class Fit(NamedTuple):
    """log E_α(n) = slope · log n + intercept; rms: root mean square residual, natural logarithms."""

    slope: float
    intercept: float
    rms: float


def fit(sizes: np.ndarray, sums: np.ndarray) -> Fit:
    """Least squares on logarithms; sums (..., n) may hold several subsamples for each size.

    >>> round(fit(np.array([1.0, 10.0, 100.0]), np.array([2.0, 20.0, 200.0])).slope, 9)
    1.0
    """
    x = np.log(np.broadcast_to(sizes, sums.shape)).ravel()
    y = np.log(sums).ravel()
    slope, intercept = np.polyfit(x, y, 1)
    return Fit(float(slope), float(intercept), float(np.sqrt(np.mean((y - slope * x - intercept) ** 2))))


@style()
def draw(run: Run, name: str) -> Figure:
    """Points, fitted line and reading; grey: what dimension 1, 2 and 3 would give (slope 1 − α/dim)."""
    sizes, sums = _points(run, name)
    alpha, line = float(option(run, name, "alpha", 1.0)), fit(sizes, sums)
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="points in the subsample, $n$")
    axes.set_ylabel(rf"$E_{{{alpha:g}}}(n)$, sum of MST edges" + (rf"$^{{{alpha:g}}}$" if alpha != 1 else ""))
    labels = [_reference(axes, sizes, line, alpha, dimension) for dimension in (1, 2, 3)]
    axes.plot(sizes, np.exp(line.intercept) * sizes**line.slope, color=BLUE, zorder=3)
    axes.plot(np.broadcast_to(sizes, sums.shape).ravel(), sums.ravel(), "o", color=BLUE, mec="white", zorder=4)
    _zoom(axes, sizes, sums, [y for _, y, _ in labels])
    _reading(run, name, axes, line)
    axes.set_xlim(sizes.min() / 1.03, sizes.max() * 1.03)
    readable_log_ticks(axes, "x")
    readable_log_ticks(axes, "y")
    label_lines(axes, [*labels, ("fit", float(np.exp(line.intercept) * sizes.max() ** line.slope), BLUE)])
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    alpha = float(option(run, name, "alpha", 1.0))
    text = (
        f"Points: $E_{{α}}(n)$, the sum of the $α$-th powers ($α = {alpha:g}$) of the edges of the minimum "
        f"spanning tree of $n$ of the recorded {_what(run, name)} (the lifetimes of PH₀). The fitted slope $s$ of "
        "$log E_{α}$ against $log n$ gives the dimension $dim = α/(1 − s)$; a grey line has "
        "the slope that the dimension it names would give. A reading of 1 is a smooth curve, 2 looks like a random "
        "walk. "
    )
    papers = [
        cite("Birdal, Lou, Guibas & Şimşekli, 2021", "10.48550/arXiv.2111.13171"),
        "caution: " + cite("Tan, García-Redondo, Wang, Bronstein & Monod, 2024", "10.48550/arXiv.2406.02234"),
    ]
    return f"<p>{typeset(text + _reliability(run, name))}</p><p>{'; '.join(papers)}</p>"


def _what(run: Run, name: str) -> str:
    """The points, and how far they are from each other where that isn't the Euclidean distance."""
    recorded = str(option(run, name, "reads", "")).rpartition("/")[2]
    if option(run, name, "metric", "euclidean") == "euclidean":
        return "weight vectors"
    return f"{recorded or 'losses'} of single examples, at their mean absolute difference"


def _points(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (n,) and sums (..., n) of the last step; ValueError where they can't be drawn."""
    if last(run, f"{name}/dimension") is None and (count := last(run, f"{name}/num_points")) is not None:
        raise ValueError(f"{count:g} of the recorded points are different: too few for a fit over subsamples")
    sizes = np.asarray(run.array(f"{name}/sizes")[1][-1], dtype=float).ravel()
    sums = np.asarray(run.array(f"{name}/weighted_sums")[1][-1], dtype=float)
    if sizes.size < 2 or not (np.isfinite(sums).all() and (sums > 0).all()):
        raise ValueError("the recorded sums of edges are not all positive numbers at two sizes or more")
    return sizes, sums.reshape(-1, sizes.size)


def _reference(axes: Axes, sizes: np.ndarray, line: Fit, alpha: float, dimension: int) -> tuple[str, float, str]:
    """The slope of a set of this dimension, through the fit's left end."""
    start = np.exp(line.intercept) * sizes.min() ** line.slope
    y = start * (sizes / sizes.min()) ** (1 - alpha / dimension)
    axes.plot(sizes, y, ":", color=GREY, linewidth=1.8)
    return f"dimension {dimension}", float(y[np.argmax(sizes)]), GREY


def _zoom(axes: Axes, sizes: np.ndarray, sums: np.ndarray, ends: list[float]) -> None:
    low, high = min(sums.min(), *ends), max(sums.max(), *ends)
    room = (high / low) ** 0.08
    axes.set_ylim(low / room, high * room**3)


def _reading(run: Run, name: str, axes: Axes, line: Fit) -> None:
    reading = last(run, f"{name}/dimension")
    unreliable = _unreliable(run, name)
    text = f"dimension {number(reading)}" + (" — unreliable" if unreliable else "")
    axes.set_title(text, color=VERMILLION if unreliable else BLACK, fontsize=16, fontweight="bold")
    axes.annotate(
        f"slope {line.slope:.3f}, residual {line.rms:.1g}", (0.02, 0.96), xycoords="axes fraction", va="top",
        color=BLUE, size=12.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )  # fmt: skip


def _unreliable(run: Run, name: str) -> bool:
    reliable = last(run, f"{name}/reliable")
    return reliable is not None and reliable != 1


def _reliability(run: Run, name: str) -> str:
    if _unreliable(run, name):
        return (
            "This fit says nothing reliable: where the slope is near 1 (as for independent points in a high "
            "dimension), or the points don't follow a line, small changes of them change the dimension at will."
        )
    return f"The reading is {number(last(run, f'{name}/dimension'))}."
