"""Accuracy against the fraction of weights kept: largest magnitudes against a random choice."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from atml_exp.figures.style import BLACK, BLUE, GREY, VERMILLION, new_figure, style
from atml_exp.pictures.recorded import last, number, option, percent, scalars
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["accuracies", "caption", "draw"]

_Curve = tuple[np.ndarray, np.ndarray]


def accuracies(run: Run, name: str, method: str) -> _Curve:
    """Densities, ascending, and the values `name/method/density` at the last step; NaN where not finite."""
    names = [metric for metric in scalars(run, name) if metric.startswith(f"{name}/{method}/")]
    values = {float(metric.rpartition("/")[2]): last(run, metric) for metric in names}
    density = np.array(sorted(values))
    accuracy = np.array([values[d] for d in density], dtype=float)
    return density, np.where(np.isfinite(accuracy), accuracy, np.nan)


@style()
def draw(run: Run, name: str) -> Figure:
    """Accuracy in per cent over density, dense at the left, sparser to the right."""
    magnitude, random = accuracies(run, name, "magnitude"), accuracies(run, name, "random")
    if not (len(magnitude[0]) or len(random[0])):
        raise ValueError(f"the run has recorded no accuracy of {name}")
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    _references(run, name, axes)
    _band(axes, random, accuracies(run, name, "random_std"))
    axes.plot(random[0], 100 * random[1], "s--", color=VERMILLION, markersize=6, zorder=3)
    axes.plot(magnitude[0], 100 * magnitude[1], "o-", color=BLUE, zorder=4)
    axes.set_ylim(0, 104)
    axes.set_ylabel(f"{_split(run, name)} accuracy (%)")
    _density_axis(axes, np.concatenate([magnitude[0], random[0]]))
    _name_curve(axes, "largest\nmagnitudes", magnitude, BLUE)
    _name_curve(axes, "random", random, VERMILLION)
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    scope = {"global": "over all layers together", "layer": "layer by layer", "layerwise": "layer by layer"}.get(
        str(option(run, name, "scope", "")), ""
    )
    text = (
        "One-shot pruning of the trained net, without fine-tuning: a fraction (the density) of the weights is "
        f"kept, the rest set to 0, and accuracy on the {_split(run, name)} set measured in eval mode; biases are "
        f"all kept. Blue keeps the weights of largest magnitude{f', {scope}' if scope else ''}; orange keeps as "
        f"many chosen at random (mean of {option(run, name, 'num_random', 'several')} masks, shaded: ± one "
        "standard deviation over them): the control. "
    )
    paper = cite("Han, Pool, Tran & Dally, 2015", "10.48550/arXiv.1506.02626")
    return f"<p>{typeset(text + _finding(run, name))}</p><p>{paper}</p>"


def _split(run: Run, name: str) -> str:
    return {"train": "training", "test": "test"}[option(run, name, "split", "train")]


def _dense(run: Run, name: str) -> float | None:
    """The accuracy of the whole net: at density 1 where recorded, else one minus the error."""
    density, accuracy = accuracies(run, name, "magnitude")
    if len(density) and density[-1] == 1:
        return float(accuracy[-1])
    error = last(run, f"{option(run, name, 'split', 'train')}/error")
    return None if error is None else 1 - error


def _references(run: Run, name: str, axes: Axes) -> None:
    classes, dense = run.info.get("num_classes"), _dense(run, name)
    if dense is not None and np.isfinite(dense):
        _line(axes, 100 * dense, f"dense net: {100 * dense:.3g} %", 0.985, "right", BLACK)
    if classes:
        _line(axes, 100 / int(classes), f"chance: {100 / int(classes):.3g} %", 0.015, "left", GREY)


def _line(axes: Axes, y: float, text: str, x: float, side: str, colour: str) -> None:
    axes.axhline(y, color=colour, linestyle=":", linewidth=1.6, zorder=2)
    axes.annotate(
        text, (x, y), (0, -4), xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha=side, va="top",
        color=colour, size=12.5,
    )  # fmt: skip


def _band(axes: Axes, mean: _Curve, deviation: _Curve) -> None:
    if len(deviation[0]) and np.array_equal(mean[0], deviation[0]):
        low, high = np.clip(mean[1] - deviation[1], 0, 1), np.clip(mean[1] + deviation[1], 0, 1)
        axes.fill_between(mean[0], 100 * low, 100 * high, color=VERMILLION, alpha=0.18, lw=0)


def _density_axis(axes: Axes, densities: np.ndarray) -> None:
    axes.set_xscale("log")
    low, high = float(densities.min()), float(densities.max())
    axes.set_xlim(1.15 * high, low / 1.15)  # dense at the left: one reads what happens as weights go
    ticks = [t for k in range(-6, 1) for t in (10.0**k, 2 * 10.0**k, 5 * 10.0**k) if low / 1.01 <= t <= 1.01 * high]
    axes.set_xticks(ticks if len(ticks) > 1 else sorted(set(densities)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("weights kept (%)")


def _name_curve(axes: Axes, text: str, curve: _Curve, colour: str) -> None:
    """Beside the curve, half-way down its fall, where there is room to the upper right."""
    density, accuracy = curve
    if not np.isfinite(accuracy).any():
        return
    k = int(np.nanargmin(np.abs(accuracy - (np.nanmin(accuracy) + np.nanmax(accuracy)) / 2)))
    axes.annotate(text, (density[k], 100 * accuracy[k]), (10, 6), textcoords="offset points", color=colour, size=14)


def _finding(run: Run, name: str) -> str:
    """The smallest density that costs at most one point of accuracy."""
    density, accuracy = accuracies(run, name, "magnitude")
    dense = _dense(run, name)
    kept = [d for d, a in zip(density, accuracy, strict=True) if dense is not None and a >= dense - 0.01]
    if not kept:
        return ""
    smallest = min(kept)
    if smallest == 1 and len(density) > 1:
        (first, left), *_ = [(d, a) for d, a in sorted(zip(density, accuracy, strict=True), reverse=True) if d < 1]
        return f"Already at {number(100 * first)} % of the weights it costs {number(100 * (dense - left))} points."
    beside = dict(zip(*accuracies(run, name, "random"), strict=True)).get(smallest)
    text = (
        f"Down to {number(100 * smallest)} % of the weights, magnitude pruning costs at most one point of accuracy"
    )
    return text + (f"; a random choice of as many leaves {percent(float(beside))}." if beside is not None else ".")
