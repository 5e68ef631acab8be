"""Loss and error over training, train against test."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from atml_exp.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    finite,
    label_lines,
    log_if_wide,
    new_figure,
    spans_decades,
    style,
)
from atml_exp.pictures.recorded import epochs_axis, first_zero_error, marker, number, percent, series
from atml_exp.runs import Run
from atml_exp.typeset import typeset

__all__ = ["best_test_error", "caption", "draw"]

_LOOKS = {
    "train": {"color": BLUE, "linewidth": 2.2, "zorder": 3},
    "test": {"color": VERMILLION, "linewidth": 2.6, "zorder": 2.5},
}


@style()
def draw(run: Run, name: str = "curves") -> Figure:
    """Loss above, error in per cent below (classification only), over epochs."""
    quantities = [q for q in ("loss", "error") if len(series(run, f"train/{q}")[0])]
    if not quantities:
        raise ValueError("the run has recorded neither loss nor error")
    figure = new_figure(7.0, 1.2 + 2.9 * len(quantities))
    for axes, quantity in zip(figure.subplots(len(quantities), 1, squeeze=False)[:, 0], quantities, strict=True):
        _panel(run, axes, quantity)
        epochs_axis(run, axes, steps=quantity == quantities[0])
        axes.set_xlabel(axes.get_xlabel() if quantity == quantities[-1] else "")
    return figure


def caption(run: Run, name: str = "curves") -> str:
    """What the curves show, as HTML."""
    zero, best = first_zero_error(run), best_test_error(run)
    measured = "Mean loss and error rate" if run.info.get("num_classes") else "Mean loss"
    text = f"{measured}, measured in eval mode on the whole training set and the whole test set. "
    if zero is not None:
        text += f"The training error first reads 0 at epoch {number(zero)}. "
    if best is not None:
        text += (
            f"The lowest test error is {percent(best[1])}, at epoch {number(best[0])}; chosen by looking at the "
            "test set, it is a little better than what fresh data would give. "
        )
    levels = {"error": "an error of $1 − 1/C$", "loss": "a cross-entropy of $log C$"}
    if dotted := [words for quantity, words in levels.items() if _guessing(run, quantity) is not None]:
        text += f"Dotted: guessing all $C$ classes alike, {' and '.join(dotted)}."
    return f"<p>{typeset(text)}</p>"


def best_test_error(run: Run) -> tuple[float, float] | None:
    """The epoch and value of the lowest test error; the earliest of several."""
    epochs, values = series(run, "test/error")
    return None if not len(finite(values)) else (float(epochs[np.nanargmin(values)]), float(np.nanmin(values)))


def _panel(run: Run, axes: Axes, quantity: str) -> None:
    scale = 100 if quantity == "error" else 1
    curves = {split: series(run, f"{split}/{quantity}") for split in ("train", "test")}
    for split, (epochs, values) in curves.items():
        look: dict[str, Any] = {**_LOOKS[split], "marker": marker(values)}
        axes.plot(epochs, scale * _numbers(values), label=split, clip_on=False, **look)
    everything = scale * np.concatenate([values for _, values in curves.values()])
    axes.set_ylabel("error (%)" if quantity == "error" else "loss")
    (_percent_axis if quantity == "error" else log_if_wide)(axes, everything)
    _reference(run, axes, quantity)
    if quantity == "error":
        _mark_best(run, axes)
    ends = {split: finite(values) for split, (_, values) in curves.items()}
    colours = {split: str(look["color"]) for split, look in _LOOKS.items()}
    label_lines(axes, {s: (scale * float(v[-1]), colours[s]) for s, v in ends.items() if len(v)}, size=14)


def _numbers(values: np.ndarray) -> np.ndarray:
    """Infinities as gaps: an axis has no place for them."""
    return np.where(np.isfinite(values), values, np.nan)


def _percent_axis(axes: Axes, values: np.ndarray) -> None:
    """From 0; where small and large errors meet, linear up to 1 % and logarithmic above."""
    top = max(1.0, 1.1 * float(finite(values).max(initial=0)))
    if spans_decades(values[values > 0]):
        axes.set_yscale("symlog", linthresh=1, linscale=0.5)
        axes.yaxis.set_major_locator(FixedLocator([0, 1, 2, 5, 10, 20, 50, 100]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(-0.08, top)
    else:
        axes.set_ylim(-0.02 * top, top)


def _chance(run: Run) -> float | None:
    classes = run.info.get("num_classes")
    return 1 - 1 / int(classes) if classes else None


def _is_cross_entropy(run: Run) -> bool:
    return str((run.config.get("loss") or {}).get("_target_", "")).endswith(".cross_entropy")


def _guessing(run: Run, quantity: str) -> float | None:
    """What guessing gives, as a fraction or in nats; None where it isn't known, or so far from all that was
    measured that an axis with both would show nothing else.
    """
    chance = _chance(run)
    if chance is None or (quantity == "loss" and not _is_cross_entropy(run)):
        return None
    level = chance if quantity == "error" else float(np.log(int(run.info["num_classes"])))
    values = finite(np.concatenate([series(run, f"{split}/{quantity}")[1] for split in ("train", "test")]))
    if not values.size:
        return None
    logarithmic = quantity == "loss" and values.min() > 0 and spans_decades(values)
    low = values.min() / 3 if logarithmic else 0.0
    return level if low <= level < 3 * values.max() else None


def _reference(run: Run, axes: Axes, quantity: str) -> None:
    """What guessing gives, where it is within sight: a note beyond the axis would leave the panels no room."""
    level = _guessing(run, quantity)
    if level is None:
        return
    y = 100 * level if quantity == "error" else level
    text = f"chance: {y:.3g} %" if quantity == "error" else rf"chance: $\log\,{run.info['num_classes']}$ = {y:.2f}"
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, y / 1.15), max(high, 1.15 * y))
    axes.axhline(y, color=GREY, linestyle=":", linewidth=1.6)
    up = axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1] < 0.5
    axes.annotate(
        text, (0.99, y), (0, 4 if up else -4), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        ha="right", va="bottom" if up else "top", color=GREY, size=12.5,
    )  # fmt: skip


def _mark_best(run: Run, axes: Axes) -> None:
    best = best_test_error(run)
    if best is None or len(finite(series(run, "test/error")[1])) < 2:
        return
    x, y = best[0], 100 * best[1]
    below = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1] > 0.15
    axes.plot([x], [y], "o", color=VERMILLION, markeredgecolor="white", markersize=9, zorder=4, clip_on=False)
    axes.annotate(
        f"best test error {y:.3g} %", (x, y), (0, -12 if below else 16), textcoords="offset points",
        va="top" if below else "bottom", zorder=5,
        ha="left" if x < np.mean(axes.get_xlim()) else "right", color=VERMILLION, size=12.5,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )  # fmt: skip
