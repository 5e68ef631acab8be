"""The largest Hessian eigenvalue over training, beside the step size's stability threshold."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    finite,
    label_lines,
    log_if_wide,
    new_figure,
    readable_log_ticks,
    style,
)
from atml_exp.pictures.recorded import batch_size, epochs_axis, last, number, optimiser, option, series
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["Threshold", "caption", "draw", "thresholds"]


class Threshold(NamedTuple):
    """Curvature above which a step overshoots: `values` at `epochs`; `tex` for a figure, `formula` for a page."""

    epochs: np.ndarray
    values: np.ndarray
    tex: str
    formula: str
    applies: bool


def thresholds(run: Run) -> list[Threshold]:
    """The optimiser's own threshold, and gradient descent's 2/η beside it where that differs.

    On a quadratic of curvature h, full batch: gradient descent is stable for h < 2/η; with momentum β in
    PyTorch's convention (dampening 0) for h < (2+2β)/η, with Nesterov's for h < (2+2β)/(η(1+2β)). A weight
    decay λ that is added to the gradient takes λ off each. None is known here for other optimisers.
    """
    kind, config = optimiser(run)
    epochs, rate = _learning_rate(run)
    beta = float(config.get("momentum") or 0)
    plain = kind in {"GD", "SGD"} or (kind in {"Momentum", "Nesterov"} and beta == 0)
    decay = float(config.get("weight_decay") or 0) if kind in _OWN or plain else 0.0
    with np.errstate(divide="ignore"):
        gd = 2 / rate - decay
        own = {k: factor(beta) / rate - decay for k, (factor, _, _) in _OWN.items()}
    lines = [Threshold(epochs, gd, r"$2/\eta$", "2/η", plain)]
    if kind in _OWN and not plain:
        lines.append(Threshold(epochs, own[kind], _OWN[kind][1], _OWN[kind][2], True))
    return lines


_OWN = {
    "Momentum": (lambda b: 2 + 2 * b, r"$(2{+}2\beta)/\eta$", "(2 + 2β)/η"),
    "Nesterov": (
        lambda b: (2 + 2 * b) / (1 + 2 * b),
        r"$\frac{2+2\beta}{(1+2\beta)\,\eta}$",
        "(2 + 2β)/(η(1 + 2β))",
    ),
}


@style()
def draw(run: Run, name: str) -> Figure:
    """λ_max over epochs; thresholds as dashed lines, the region above the one that applies tinted."""
    epochs, top = series(run, f"{name}/top")
    if not len(finite(top)):
        raise ValueError(f"the run has no finite {name}/top")
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    lines = thresholds(run)
    axes.plot(
        epochs, np.where(np.isfinite(top), top, np.nan), "o-", color=BLUE, markersize=4.5, zorder=3, clip_on=False
    )
    _limit(axes, top, lines)
    for line in lines:
        _draw_threshold(axes, line, float(run.metrics["epoch"].max()) or 1.0)
    axes.set_ylabel(r"sharpness $\lambda_{\max}(\nabla^2 L)$")
    epochs_axis(run, axes)
    label_lines(axes, [(r"$\lambda_{\max}$", float(finite(top)[-1]), BLUE), *map(_label, lines)])
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    top = finite(series(run, f"{name}/top")[1])
    own = thresholds(run)[-1]
    text = f"$λ_{{max}}$, the largest eigenvalue of the Hessian $∇^2 L$ of the mean loss on {_set(run, name)}, "
    text += "in eval mode. "
    if len(top) == 1:
        text += f"Its one reading is {number(top[0])}. "
    elif len(top):
        text += f"It goes from {number(top[0])} to {number(top[-1])}. "
    paper = cite("Cohen, Kaur, Li, Kolter & Talwalkar, 2021", "10.48550/arXiv.2103.00065")
    return f"<p>{typeset(text + _verdict(run, own, top))}</p><p>{paper}</p>"


def _learning_rate(run: Run) -> tuple[np.ndarray, np.ndarray]:
    epochs, rate = series(run, "optimiser/learning_rate")
    if len(rate):
        return epochs, rate
    constant = optimiser(run)[1].get("learning_rate")
    if constant is None:
        raise ValueError("the run's learning rate is neither recorded nor in its config")
    return np.zeros(1), np.array([float(constant)])


def _limit(axes: Axes, top: np.ndarray, lines: list[Threshold]) -> None:
    """Shows all of λ_max, and of the thresholds what is not beyond ten times the lowest or λ_max itself."""
    lows = [float(finite(line.values).min()) for line in lines if len(finite(line.values))]
    reach = 10 * max([float(finite(top).max()), *lows])
    values = np.concatenate([top, *(line.values[line.values < reach] for line in lines)])
    log_if_wide(axes, values)
    positive = finite(values)[finite(values) > 0]
    if axes.get_yscale() == "log":
        axes.set_ylim(positive.min() / 1.6, 1.9 * positive.max())
        readable_log_ticks(axes)  # for the limits as they are now
    elif finite(values).min() >= 0:
        axes.set_ylim(0, 1.15 * max(finite(values).max(), 1e-12))


def _draw_threshold(axes: Axes, line: Threshold, end: float) -> None:
    x = np.append(line.epochs, max(end, float(line.epochs[-1])))
    y = np.append(line.values, line.values[-1])
    y = np.where(np.isfinite(y), y, np.nan)
    colour = VERMILLION if line.applies else GREY
    axes.plot(x, y, "--", color=colour, drawstyle="steps-post", linewidth=2.0, zorder=2)
    if line.applies:
        ceiling = axes.get_ylim()[1]
        axes.fill_between(x, np.minimum(y, ceiling), ceiling, step="post", color=VERMILLION, alpha=0.08, lw=0)
        _say_unstable(axes)


def _say_unstable(axes: Axes) -> None:
    axes.text(
        0.015, 0.975, "unstable", transform=axes.transAxes, va="top", color=VERMILLION, size=13, style="italic"
    )


def _label(line: Threshold) -> tuple[str, float, str]:
    values = finite(line.values)
    end = float(values[-1]) if len(values) else float("nan")
    text = line.tex if line.applies else f"GD's {line.tex}"
    return f"{text}\n= {end:.3g}", end, VERMILLION if line.applies else GREY


def _is_logarithmic(run: Run) -> bool:
    return str((run.config.get("loss") or {}).get("_target_", "")).endswith((".cross_entropy", ".logistic"))


def _set(run: Run, name: str) -> str:
    return {"train": "the training set", "test": "the test set"}[option(run, name, "split", "train")]


def _verdict(run: Run, own: Threshold, top: np.ndarray) -> str:
    """How λ_max stands to the threshold, and what the threshold means for this optimiser."""
    limit = finite(own.values)
    if not own.applies:
        return (
            f"Gradient descent's ${own.formula}$ is drawn for orientation: it is not a threshold for this "
            "optimiser, whose steps are not plain gradient steps. "
        )
    text = f"Above ${own.formula}$ a full-batch step overshoots along that eigenvector and the iterates move away. "
    ratio = float(top[-1] / limit[-1]) if len(top) and len(limit) else 0.0
    if ratio:
        text += f"Its last reading is {number(ratio)} times the threshold. "
    if str(optimiser(run)[0]) in _OWN and len(thresholds(run)) > 1:
        text += "Grey, for orientation: the threshold of gradient descent without momentum. "
    if batch_size(run) is None:
        return text + "Full-batch training at the edge of stability hovers at the dashed line. "
    if ratio < 1 and last(run, "train/error") == 0 and _is_logarithmic(run):
        return text + (
            "Once all training examples are classified, this loss and its curvature vanish as the outputs grow: "
            "$λ_{max}$ falls, whatever the step size. "
        )
    if ratio < 1:
        return text + (
            "This run takes mini-batches: their noise as a rule keeps $λ_{max}$ below the full-batch threshold, "
            "the lower the smaller the batch. "
        )
    return text
