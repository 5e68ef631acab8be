"""Contours of a loss over a plane, labelled, on colours that print in grey."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from atml_exp.figures.style import BLACK, VERMILLION

__all__ = ["contour_levels", "draw_path", "loss_contours"]


def loss_contours(
    axes: Axes, first: np.ndarray, second: np.ndarray, loss: np.ndarray, levels: np.ndarray | None = None
) -> None:
    """Filled and labelled contours of loss (n, m) over first (n,) to the right and second (m,) upwards.

    levels: by default those of `contour_levels`. What isn't finite stays white.
    """
    levels = contour_levels(loss) if levels is None else levels
    shown = np.ma.clip(np.ma.masked_invalid(loss), levels[0], levels[-1]).T
    norm = LogNorm(levels[0], levels[-1]) if levels[0] > 0 else None
    axes.contourf(first, second, shown, levels, cmap="Blues_r", alpha=0.85, norm=norm)
    lines = axes.contour(first, second, shown, levels[1:-1], colors="#333333", linewidths=1.0)
    axes.clabel(lines, fmt=lambda value: f"{value:.2g}", fontsize="x-small", inline_spacing=2)
    axes.grid(False)


def draw_path(axes: Axes, path: np.ndarray) -> None:
    """A path (T, 2) from point to point, with a star at its end."""
    axes.plot(path[:, 0], path[:, 1], "o-", color=VERMILLION, markersize=4, linewidth=2, zorder=4)
    axes.plot(*path[0], "o", color="white", markeredgecolor=VERMILLION, markeredgewidth=2.2, markersize=9, zorder=5)
    axes.plot(*path[-1], "*", color=VERMILLION, markeredgecolor=BLACK, markersize=17, zorder=5)


def contour_levels(loss: np.ndarray, number: int = 8) -> np.ndarray:
    """From the lowest to the highest finite loss, evenly on a logarithmic scale where all are positive.

    >>> contour_levels(np.array([[0.01, 1.0], [100.0, np.inf]]), 5).round(2).tolist()
    [0.01, 0.1, 1.0, 10.0, 100.0]
    """
    values = loss[np.isfinite(loss)]
    low, high = float(values.min()), float(values.max())
    if high <= low:
        high = low + 1.0
    return np.geomspace(low, high, number) if low > 0 else np.linspace(low, high, number)
