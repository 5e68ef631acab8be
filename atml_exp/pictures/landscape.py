"""Slices of the loss: lines over one direction, contours over two."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.contours import loss_contours
from atml_exp.figures.style import BLUE, new_figure, style
from atml_exp.pictures.recorded import last, number, option
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """All lines, or the first plane; a cross where the net is."""
    at, losses = (run.array(f"{name}/{key}")[1][-1] for key in ("coordinates", "loss"))
    if not np.isfinite(losses).any():
        raise ValueError("no loss on the slices is finite")
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    unit = "distance" if option(run, name, "normalisation", "filter") == "none" else "relative to the filters"
    axes.set_xlabel(f"move along a random direction\n({unit})")
    if losses.ndim == 2:
        _lines(axes, at, losses)
    else:
        loss_contours(axes, at, at, losses[0])
        axes.set_ylabel(f"along another ({unit})")
        axes.plot(0, 0, "+", color="black", markersize=14, markeredgewidth=2.4)
    return figure


def _lines(axes: Axes, at: np.ndarray, losses: np.ndarray) -> None:
    axes.plot(at, np.where(np.isfinite(losses), losses, np.nan).T, color=BLUE, linewidth=1.8, alpha=0.8)
    axes.axvline(0, color="black", linewidth=1, linestyle=":")
    axes.set_xlim(at[0], at[-1])
    axes.set_ylabel("loss")


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    normalised = option(run, name, "normalisation", "filter") == "filter"
    text = f"The loss on the {option(run, name, 'split', 'train')}ing set around the weights of the net. "
    text = text.replace("testing", "test")
    if normalised:
        text += (
            "Each random direction was rescaled filter by filter to the length of the weights, $d_{ij} ← d_{ij} "
            r"\frac{‖w_{ij}‖}{‖d_{ij}‖}$, biases and normalisation layers standing still: so nets of different "
            "scale can be compared, and rescaling layers without changing what the net computes changes nothing. "
        )
    rise = last(run, f"{name}/rise")
    text += f"On average over the slice the loss is {number(rise)} above that of the net. "
    text += "Random directions say little of the sharpest ones, which are few. "
    paper = cite("Li, Xu, Taylor, Studer & Goldstein, 2018", "10.48550/arXiv.1712.09913")
    return f"<p>{typeset(text)}</p><p>{paper}</p>"
