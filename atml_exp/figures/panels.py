"""What the panels of figures share: bands over seeds, and the sweep's axes read off the table."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes

__all__ = ["band", "each", "last_values", "log_axis", "rows", "sweeps", "thousands"]


def rows(table: pd.DataFrame, name: str, **columns: Any) -> pd.DataFrame:
    """The rows of a metric, of runs with these values in their columns (dots as double underscores)."""
    chosen = table[table["name"] == name]
    for key, value in columns.items():
        chosen = chosen[chosen[key.replace("__", ".")] == value]
    return chosen


def each(table: pd.DataFrame, column: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """(value, rows) for each value of a column, in their order."""
    for value in sorted(table[column].dropna().unique()):
        yield value, table[table[column] == value]


def sweeps(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) for each sweep, in the order in which the figure's YAML names them."""
    for name in dict.fromkeys(table["sweep"]):
        yield name, table[table["sweep"] == name]


def last_values(table: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run, of the rows of one metric, in the order of the table."""
    latest = table.sort_values("step", kind="stable").groupby("run_id", observed=True, sort=False).tail(1)
    return latest.sort_index()


def band(
    axes: Axes, table: pd.DataFrame, x: str, colour: str, *, scale: float = 1.0, **line: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of `value` over seeds against the column x, and the range over seeds as a band; returns (x, mean).

    Where there is one seed there is no band. scale: multiplies the values (100: per cent).
    """
    grouped = table.groupby(x, observed=True)["value"]
    at = np.asarray(grouped.mean().index, dtype=float)
    mean, low, high = (scale * getattr(grouped, kind)().to_numpy() for kind in ("mean", "min", "max"))
    axes.plot(at, mean, color=colour, **line)
    if table["seed"].nunique() > 1:
        axes.fill_between(at, low, high, color=colour, alpha=0.22, linewidth=0)
    return at, mean


def thousands(axes: Axes, intervals: int = 6) -> None:
    """Large numbers on the x axis as 20k, at most so many intervals."""
    axes.xaxis.set_major_locator(ticker.MaxNLocator(intervals))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"))


def log_axis(axes: Axes, which: str = "y") -> None:
    """A logarithmic axis with few ticks, as plain numbers at 1, 2, 5 × 10^k."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = sorted(axis.get_view_interval())
    subs = (1.0, 2.0, 5.0) if high / low < 200 else (1.0,)
    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(ticker.NullLocator())
    if low >= 1e-4:
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
