"""The picture of a probe that brings none of its own: the curves of all its scalars."""

from html import escape
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import PALETTE, finite, log_if_wide, new_figure, style
from atml_exp.pictures.recorded import epochs_axis, last, number, option, scalars, series
from atml_exp.runs import Run

__all__ = ["caption", "draw"]

_MOST = 12  # panels; more would be too small to read


@style()
def draw(run: Run, name: str) -> Figure:
    """One panel for each scalar `name/key`, over epochs and steps."""
    names = scalars(run, name)
    if not names:
        raise ValueError(f"{name} has recorded no scalars to draw")
    shown = names[:_MOST]
    columns = 1 if len(shown) <= 3 else 2
    rows = -(-len(shown) // columns)
    figure = new_figure(7.0 if columns == 1 else 9.0, 1.6 + (3.0 if len(shown) == 1 else 2.2) * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for i, (axes, metric) in enumerate(zip(panels.ravel(), shown, strict=False)):
        _panel(run, axes, metric, metric.removeprefix(f"{name}/"), PALETTE[i % len(PALETTE)])
        epochs_axis(run, axes, steps=i < columns)
        axes.set_xlabel(axes.get_xlabel() if i + columns >= len(shown) else "")
    for axes in panels.ravel()[len(shown) :]:
        axes.remove()
    return figure


def caption(run: Run, name: str) -> str:
    """What was recorded, as HTML."""
    names = scalars(run, name)
    split = {"train": "training", "test": "test"}.get(str(option(run, name, "split", "train")), "training")
    rest = len(names) - _MOST
    values = ", ".join(
        f"{metric.removeprefix(f'{name}/')} = {number(last(run, metric))}" for metric in names[:_MOST]
    )
    more = f" {rest} more are in the run's metrics." if rest > 0 else ""
    return f"<p>{escape(f'Measured on the {split} set, in eval mode. At the end: {values}.{more}')}</p>"


def _panel(run: Run, axes: Axes, metric: str, key: str, colour: str) -> None:
    epochs, values = series(run, metric)
    axes.plot(
        epochs, np.where(np.isfinite(values), values, np.nan), "o-", color=colour, markersize=4, clip_on=False
    )
    axes.set_ylabel(fill(key.replace("_", " "), 16), fontsize=13, parse_math=False)
    if finite(values).size and finite(values).min() > 0:
        log_if_wide(axes, values)
