"""The barrier between two children of a net, against the step at which they split."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREY, VERMILLION, label_lines, new_figure, style
from atml_exp.pictures.recorded import epochs_axis, last, number, percent, series
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["STABLE", "caption", "draw"]

STABLE = 0.02
"""Frankle et al. (2020) call a net stable where the error barrier is below 2 %."""


@style()
def draw(run: Run, name: str) -> Figure:
    """Barriers over the epoch of the split; of a single reading the error on the line between the children."""
    quantity, scale = _quantity(run, name)
    if len(series(run, f"{name}/test_{quantity}")[0]) == 0:
        raise ValueError(f"the run has no {name}/test_{quantity}")
    figure = new_figure(7.0, 4.4)
    axes = figure.subplots()
    single = len(series(run, f"{name}/test_{quantity}")[0]) == 1
    labels = (_on_the_line if single else _over_training)(run, name, axes, quantity, scale)
    unit = " (%)" if scale == 100 else ""
    axes.set_ylabel(f"{quantity}{unit}" if single else f"{quantity} barrier{unit}")
    axes.set_ylim(bottom=0)
    label_lines(axes, labels)
    return figure


_LOOKS: dict[str, Any] = {"train": BLUE, "test": VERMILLION}


def _over_training(run: Run, name: str, axes: Axes, quantity: str, scale: int) -> dict[str, tuple[float, str]]:
    labels = {}
    for split, colour in _LOOKS.items():
        epochs, values = series(run, f"{name}/{split}_{quantity}")
        axes.plot(epochs, scale * values, "o-", color=colour, clip_on=False)
        labels[split] = (scale * float(values[-1]), colour)
    if scale == 100:
        axes.axhline(100 * STABLE, color=GREY, linestyle=":")
        labels["stable\nbelow 2 %"] = (100 * STABLE, GREY)
    epochs_axis(run, axes)
    axes.set_xlabel("epoch at which the children split")
    return labels


def _on_the_line(run: Run, name: str, axes: Axes, quantity: str, scale: int) -> dict[str, tuple[float, str]]:
    labels = {}
    place = 1 - np.asarray(run.array(f"{name}/alphas")[1][-1])
    for split, colour in _LOOKS.items():
        values = scale * np.asarray(run.array(f"{name}/{split}_{quantity}_path")[1][-1])
        axes.plot(place, values, color=colour, clip_on=False)
        labels[split] = (float(values[-1]), colour)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["one child", "midway", "the other"])
    return labels


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    quantity, scale = _quantity(run, name)
    epochs, values = series(run, f"{name}/test_{quantity}")
    text = (
        "Two copies of the net are trained on, each with its own order of the data. The barrier is how much the "
        f"{quantity} rises on the straight line between the ends, $max_α E(α) − \\frac{{1}}{{2}}(E(0) + E(1))$. "
    )
    if scale == 100:
        text += "Below 2 % the net counts as stable to the noise of SGD: its outcome, up to a line, is settled. "
        settled = epochs[values < STABLE]
        text += f"On the test set this is first so at epoch {number(settled[0])}. " if len(settled) else ""
        text += f"The last barrier is {percent(values[-1])} on the test set." if len(values) else ""
    paper = cite("Frankle, Dziugaite, Roy & Carbin, 2020", "10.48550/arXiv.1912.05671")
    return f"<p>{typeset(text)}</p><p>{paper}</p>"


def _quantity(run: Run, name: str) -> tuple[str, int]:
    return ("error", 100) if last(run, f"{name}/test_error") is not None else ("loss", 1)
