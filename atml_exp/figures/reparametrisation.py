"""One function, many weights: what rescaling a ReLU net does to measures of sharpness (Dinh et al. 2017)."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import log_axis
from atml_exp.figures.style import BLUE, GREEN, GREY, PURPLE, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

DINH, KWON = "Dinh et al. 2017", "Kwon et al. 2021"
MEASURES = ("output_change", "top", "first_layer", "sam", "adaptive")


class Readings(NamedTuple):
    """Of one run: α (A,) and what was measured at each, by name."""

    scales: np.ndarray
    values: dict[str, np.ndarray]

    def relative(self, name: str) -> np.ndarray:
        """To the net as it was trained, α = 1, in the middle."""
        return self.values[name] / self.values[name][len(self.scales) // 2]


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: eigenvalues against α, dashed: α² and α⁻²; middle: rises of the loss; right: change of the outputs."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    found = [_readings(d) for d in table["directory"].unique()]
    _eigenvalues(left, found)
    _curves(middle, found, {"sam": ("SAM", VERMILLION), "adaptive": ("ASAM", GREEN)})
    middle.set_ylabel("rise of the loss / that at α = 1")
    log_axis(middle)
    _outputs(right, found)
    for axes in (left, middle, right):
        axes.set_xscale("log")
        axes.set_xlabel(r"scale $\alpha$ of the first layer")
    return figure


def _curves(axes: Axes, found: list[Readings], looks: dict[str, tuple[str, str]]) -> None:
    labels = {}
    for name, (label, colour) in looks.items():
        values = np.stack([run.relative(name) for run in found])
        axes.plot(found[0].scales, values.mean(0), color=colour, marker="o")
        axes.fill_between(found[0].scales, values.min(0), values.max(0), color=colour, alpha=0.22, linewidth=0)
        labels[label] = (float(values.mean(0)[-1]), colour)
    axes.set_yscale("log")
    label_lines(axes, labels, size=16)


def _eigenvalues(axes: Axes, found: list[Readings]) -> None:
    scales = found[0].scales
    for power in (2, -2):
        axes.plot(scales, scales**power, "--", color=GREY, linewidth=2, zorder=1)
        side = scales[0] if power < 0 else scales[-1]
        axes.annotate(
            rf"$\alpha^{{{power}}}$", (side, side**power), (8 if power < 0 else -8, 0), textcoords="offset points",
            color=GREY, ha="left" if power < 0 else "right", va="center", size=17,
        )  # fmt: skip
    _curves(axes, found, {"top": (r"$\lambda_{\max}$", BLUE), "first_layer": ("of first\nlayer", PURPLE)})
    axes.set_ylabel(r"eigenvalue / that at $\alpha$ = 1")


def _outputs(axes: Axes, found: list[Readings]) -> None:
    """A value of exactly 0 has no place on a logarithmic axis: it is drawn as a tenth of a rounding."""
    changes = np.stack([run.values["output_change"] for run in found]).clip(min=np.finfo(float).eps / 10)
    axes.plot(found[0].scales, changes.max(0), "o", color=BLUE)
    axes.axhline(np.finfo(float).eps, color=GREY, linestyle="--", linewidth=2)
    axes.set_yscale("log")
    axes.set_ylim(1e-17, 1)
    axes.set_ylabel("largest relative change of an output")
    label_lines(axes, {"rounding": (np.finfo(float).eps, GREY)}, size=16)


def _readings(directory: str) -> Readings:
    run = Run(directory)
    last = {name: run.array(f"reparametrisation/{name}")[1][-1] for name in ("scales", *MEASURES)}
    return Readings(last.pop("scales"), last)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Is it one function; what changes and what doesn't."""
    return [
        Claim(
            DINH,
            "the function stays the same (largest relative change of an output; chosen by us)",
            by_seed(table, lambda t: _of(t).values["output_change"].max()),
            "<=",
            1e-12,
        ),
        Claim(
            DINH,
            r"the first layer's curvature follows $α^{−2}$ (largest deviation; 1 % chosen by us)",
            by_seed(table, lambda t: 100 * _deviation(_of(t))),
            "<=",
            1,
            "%",
        ),
        Claim(
            DINH,
            "$λ_{max}$ changes by orders of magnitude (largest / smallest; two orders chosen by us)",
            by_seed(table, lambda t: _spread(_of(t), "top")),
            ">=",
            100,
        ),
        Claim(
            KWON,
            "adaptive sharpness doesn't change (largest / smallest; 1 % chosen by us)",
            by_seed(table, lambda t: _spread(_of(t), "adaptive")),
            "<=",
            1.01,
        ),
        Claim(
            KWON,
            "the sharpness that SAM lowers does (largest / smallest; an order chosen by us)",
            by_seed(table, lambda t: _spread(_of(t), "sam")),
            ">=",
            10,
        ),
    ]


def _of(table: pd.DataFrame) -> Readings:
    return _readings(table["directory"].iloc[0])


def _deviation(found: Readings) -> float:
    return float(np.abs(found.relative("first_layer") * found.scales**2 - 1).max())


def _spread(found: Readings, name: str) -> float:
    return float(found.values[name].max() / found.values[name].min())
