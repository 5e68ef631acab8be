"""Gradient noise over training: its scale beside the batch size, and the spectrum of its covariance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    finite,
    label_lines,
    new_figure,
    readable_log_ticks,
    style,
)
from atml_exp.pictures.recorded import batch_size, epochs_axis, last, number, option, series, steps_per_epoch
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """B_simple over epochs, dashed: the batch size; below, the eigenvalues of Σ at the first and last reading."""
    epochs, scale = series(run, f"{name}/noise_scale")
    if not len(finite(scale)):
        raise ValueError(f"the run has no finite {name}/noise_scale")
    figure = new_figure(7.0, 7.4)
    upper, lower = figure.subplots(2, 1)
    _scales(run, name, upper, epochs, scale)
    _spectra(run, name, lower)
    return figure


def _scales(run: Run, name: str, axes: Axes, epochs: np.ndarray, scale: np.ndarray) -> None:
    axes.plot(epochs, scale, "o-", color=BLUE, markersize=4.5, zorder=3)
    labels = [(r"$B_{\mathrm{simple}}$", float(finite(scale)[-1]), BLUE)]
    size = batch_size(run)
    if size is not None:
        axes.axhline(size, color=GREY, linestyle="--", linewidth=2)
        labels.append((f"batch size\n{size}", float(size), GREY))
    axes.set_yscale("log")
    readable_log_ticks(axes)
    axes.set_ylabel("noise scale (examples)")
    epochs_axis(run, axes, steps=False)
    label_lines(axes, labels)


def _spectra(run: Run, name: str, axes: Axes) -> None:
    steps, values = run.array(f"{name}/eigenvalues")
    shown = [(0, VERMILLION, "-"), (-1, BLUE, "-")] if len(steps) > 1 else [(-1, BLUE, "-")]
    labels = []
    for index, colour, line in shown:
        spectrum = values[index][values[index] > 1e-10 * values[index].max()]
        axes.plot(
            np.arange(1, len(spectrum) + 1), spectrum, line, color=colour, marker="o" if len(spectrum) == 1 else ""
        )
        labels.append((f"epoch {steps[index] / steps_per_epoch(run):.3g}", float(spectrum[-1]), colour))
    axes.set(xscale="log", yscale="log", xlabel="eigenvalue's rank")
    axes.set_ylabel(r"eigenvalues of $\Sigma$")
    label_lines(axes, labels)


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    examples = option(run, name, "num_examples", 512)
    chosen = f"{examples:,} examples" if examples else "all examples"
    split = {"train": "training", "test": "test"}[option(run, name, "split", "train")]
    text = (
        f"Gradients of single examples ({chosen} of the {split} set, eval mode) scatter about their mean $G$ with "
        "the covariance $Σ$. A mini-batch much smaller than the noise scale "
        "$B_{simple} = \\frac{tr Σ}{‖G‖^2}$ gives a step that is mostly noise; a larger one repeats what is known. "
        f"Its last reading is {number(last(run, f'{name}/noise_scale'))}. "
    )
    papers = [
        cite("McCandlish, Kaplan & Amodei, 2018", "10.48550/arXiv.1812.06162"),
        cite("Zhu, Wu, Yu, Wu & Ma, 2019", "10.48550/arXiv.1803.00195"),
    ]
    return f"<p>{typeset(text + _direction(run, name))}</p><p>{'; '.join(papers)}</p>"


def _direction(run: Run, name: str) -> str:
    along, at_random = (last(run, f"{name}/curvature_{key}") for key in ("along_noise", "at_random"))
    if along is None or at_random is None:
        return ""
    return (
        f"Along the noise's main directions the loss has a mean curvature of {number(along)}, along random ones of "
        f"{number(at_random)}: were the noise alike in all directions, the two would be the same."
    )
