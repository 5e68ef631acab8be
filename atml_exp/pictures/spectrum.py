"""The Hessian's spectrum: its density at the first and last reading, and its largest eigenvalues over training."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREY, VERMILLION, label_lines, new_figure, style
from atml_exp.pictures.recorded import epochs_axis, last, number, option, steps_per_epoch
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["broadened", "caption", "density_grid", "draw"]

WIDTH = 0.005
"""Standard deviation of the bell that a node is drawn as, as a share of the spectrum's range. Chosen by us."""

LOWEST = 1e-5
"""Densities below this are cut off in pictures. Chosen by us."""


def broadened(nodes: np.ndarray, weights: np.ndarray, at: np.ndarray, width: float) -> np.ndarray:
    """The density Σ_j w_j N(λ; θ_j, width²) at the values `at` (G,); NaN nodes have no part in it.

    >>> at = np.linspace(-1, 1, 2001)
    >>> round(float(broadened(np.array([0.0, np.nan]), np.array([1.0, 0.0]), at, 0.1).sum() * 0.001), 9)
    1.0
    """
    known = np.isfinite(nodes)
    z = (at[:, None] - nodes[known]) / width
    return np.exp(-z * z / 2) @ weights[known] / (width * np.sqrt(2 * np.pi))


def density_grid(nodes: np.ndarray, count: int = 1000) -> tuple[np.ndarray, float]:
    """Values of λ that cover the nodes with some room, and the width of the bells that they are drawn as."""
    low, high = float(np.nanmin(nodes)), float(np.nanmax(nodes))
    width = WIDTH * max(high - low, 1e-12)
    return np.linspace(low - 6 * width, high + 6 * width, count), width


@style()
def draw(run: Run, name: str) -> Figure:
    """Above: the spectral density on a logarithmic axis; below: the top k eigenvalues over epochs."""
    figure = new_figure(7.0, 7.4)
    upper, lower = figure.subplots(2, 1)
    _densities(run, name, upper)
    _eigenvalues(run, name, lower)
    return figure


def _densities(run: Run, name: str, axes: Axes) -> None:
    steps, nodes = run.array(f"{name}/nodes")
    weights = run.array(f"{name}/weights")[1]
    shown = [(0, VERMILLION), (-1, BLUE)] if len(steps) > 1 else [(-1, BLUE)]
    at, width = density_grid(nodes[[i for i, _ in shown]])
    labels = []
    for row, (index, colour) in enumerate(reversed(shown)):
        density = broadened(nodes[index], weights[index], at, width)
        axes.fill_between(at, LOWEST, np.maximum(density, LOWEST), color=colour, alpha=0.35, linewidth=0)
        axes.plot(at, np.maximum(density, LOWEST), color=colour, linewidth=1.4)
        labels.append((f"epoch {steps[index] / steps_per_epoch(run):.3g}", 0.95 - 0.09 * row, colour))
    axes.set_yscale("log")
    axes.set_ylim(bottom=LOWEST)
    for text, height, colour in labels:
        axes.text(0.98, height, text, color=colour, ha="right", va="top", transform=axes.transAxes, size=14)
    axes.set_xlabel(r"eigenvalue $\lambda$")
    axes.set_ylabel("density")


def _eigenvalues(run: Run, name: str, axes: Axes) -> None:
    steps, values = run.array(f"{name}/eigenvalues")
    epochs = steps / steps_per_epoch(run)
    for rank in range(values.shape[1]):
        axes.plot(epochs, values[:, rank], "o-", color=BLUE if rank == 0 else GREY, markersize=3.5, linewidth=1.6)
    axes.set_ylabel("largest eigenvalues")
    if values.min() >= 0:
        axes.set_ylim(bottom=0)
    epochs_axis(run, axes, steps=False)
    label_lines(axes, [(r"$\lambda_1$", float(values[-1, 0]), BLUE)])


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    values, nodes = run.array(f"{name}/eigenvalues")[1][-1], run.array(f"{name}/nodes")[1][-1]
    few = option(run, name, "num_examples", None)
    where = {"train": "the training set", "test": "the test set"}[option(run, name, "split", "train")]
    trace, error = last(run, f"{name}/trace"), last(run, f"{name}/trace_standard_error")
    text = f"The Hessian of the mean loss on {f'{few} examples of ' if few else ''}{where}, in eval mode. "
    text += f"At the end its trace is {number(trace)}"
    text += f" (standard error {number(error)})" if error else ""
    text += (
        f", its largest eigenvalue {number(float(values[0]))}, its smallest {number(last(run, f'{name}/lowest'))}. "
    )
    text += (
        f"The density is stochastic Lanczos quadrature of {int(np.isfinite(nodes).sum())} nodes, each drawn as a "
        f"bell of {100 * WIDTH:g} % of the range; as few random vectors stand for all, the height of a single "
        "eigenvalue is noisy. "
    )
    if last(run, f"{name}/converged") == 0:
        text += "The Lanczos run ended before all of the largest eigenvalues had reached their tolerance. "
    paper = cite("Ghorbani, Krishnan & Xiao, 2019", "10.48550/arXiv.1901.10159")
    return f"<p>{typeset(text)}</p><p>{paper}</p>"
