"""The fit behind a box-counting dimension: boxes that hold a point against their number along an edge."""

import numpy as np
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
from atml_exp.pictures.recorded import last, number, option, percent
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """Counts and the fitted line; grey: what dimension 1 and 2 would give."""
    divisions, counts = (np.asarray(run.array(f"{name}/{key}")[1][-1], float) for key in ("divisions", "counts"))
    dimension, reliable = last(run, f"{name}/dimension"), last(run, f"{name}/reliable") == 1
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel=r"boxes along the longest edge, $1/\epsilon$")
    axes.set_ylabel(r"boxes that hold a point, $N(\epsilon)$")
    slope, intercept = np.polyfit(np.log(divisions), np.log(counts), 1)
    line = np.exp(intercept) * divisions**slope
    labels = [("fit", float(line[-1]), BLUE)]
    for reference in (1, 2):
        grey = line[0] * (divisions / divisions[0]) ** reference
        axes.plot(divisions, grey, ":", color=GREY, linewidth=1.8)
        labels.append((f"dimension {reference}", float(grey[-1]), GREY))
    axes.plot(divisions, line, color=BLUE, zorder=3)
    axes.plot(divisions, counts, "o", color=BLUE, mec="white", zorder=4)
    title = f"dimension {number(dimension)}" + ("" if reliable else " — unreliable")
    axes.set_title(title, color=BLACK if reliable else VERMILLION, fontsize=16, fontweight="bold")
    readable_log_ticks(axes, "x")
    readable_log_ticks(axes, "y")
    label_lines(axes, labels)
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    text = (
        "The number of boxes of size $ε$ that hold one of the recorded weights, projected onto their "
        f"{option(run, name, 'num_components', 2)} principal axes, which hold "
        f"{percent(last(run, f'{name}/explained'))} of their variance; the slope is the dimension. It tells how "
        "the path fills this plane: a projection can't read more than its own dimension. "
    )
    few = (
        "" if last(run, f"{name}/reliable") == 1 else "With fewer than five points in a box the counts say little."
    )
    return f"<p>{typeset(text + few)}</p><p>{cite('Falconer, 2014, Fractal geometry', '10.1002/0470013850')}</p>"
