"""The test cross-entropy rises while the error doesn't: which answers cost it, and what a temperature saves."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

CROSS_ENTROPY, SQUARED = "cross-entropy", "squared loss"
GUO = "Guo et al. 2017"
Curve = tuple[str, str, str, str]
"""Sweep, metric, label, colour."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Cross-entropy; what right and wrong answers add to the test set's; errors and calibration. All by epoch."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _losses(left, table)
    middle.set_title("test loss by answer (nats)")
    _curves(
        middle,
        table,
        [
            (CROSS_ENTROPY, "logits/wrong", "wrong", VERMILLION),
            (CROSS_ENTROPY, "logits/right", "right", BLUE),
        ],
    )
    right.set_title("test set (%)")
    _curves(
        right,
        table,
        [
            (CROSS_ENTROPY, "test/error", "error", BLACK),
            (SQUARED, "test/error", "error, MSE", ORANGE),
            (CROSS_ENTROPY, "calibration/expected_error", "ECE", VERMILLION),
            (CROSS_ENTROPY, "calibration_scaled/expected_error", "ECE, best $T$", GREEN),
        ],
        scale=100,
    )
    return figure


def _losses(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title("cross-entropy (nats)")
    chance = math.log(int(table["num_classes"].iloc[0]))
    axes.axhline(chance, color=GREY, linestyle=":", linewidth=2)
    _curves(
        axes,
        table,
        [
            (CROSS_ENTROPY, "logits/cross_entropy", "test", VERMILLION),
            (CROSS_ENTROPY, "logits/scaled_cross_entropy", "test, best $T$", GREEN),
            (CROSS_ENTROPY, "train/loss", "training", BLUE),
        ],
        fixed={"$\\log\\,C$": (chance, GREY)},
    )


def _curves(
    axes: Axes,
    table: pd.DataFrame,
    curves: list[Curve],
    scale: float = 1,
    fixed: dict[str, tuple[float, str]] | None = None,
) -> None:
    labels = dict(fixed or {})
    for sweep, metric, label, colour in curves:
        found = rows(table[table["sweep"] == sweep], metric)
        if len(found):
            _, mean = band(axes, found, "epoch", colour, scale=scale)
            labels[label] = (float(mean[-1]), colour)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, None)
    axes.set_xlim(0, table["epoch"].max())
    label_lines(axes, labels)


def claims(table: pd.DataFrame) -> list[Claim]:
    """From a quarter of the epochs to the end."""
    fitted, squared = (table[table["sweep"] == name] for name in (CROSS_ENTROPY, SQUARED))
    return [
        Claim(
            "theory",
            "small initial logits cost $log C$ (distance from it; bound ours)",
            by_seed(fitted, lambda t: abs(_start(t, "logits/cross_entropy") - math.log(t["num_classes"].iloc[0]))),
            "<=",
            0.05,
        ),
        Claim(
            GUO,
            "test cross-entropy rises (at the end, over that at a quarter of the epochs)",
            by_seed(fitted, lambda t: _ratio(t, "logits/cross_entropy")),
            ">=",
            1,
        ),
        Claim(
            GUO,
            "while the test error doesn't (at the end less at a quarter, percentage points)",
            by_seed(fitted, lambda t: 100 * _rise(t, "test/error")),
            "<=",
            0,
            "%",
        ),
        Claim(
            "Soudry et al. 2018",
            "the logits keep growing (norm at the end, over that at a quarter)",
            by_seed(fitted, lambda t: _ratio(t, "logits/norm")),
            ">=",
            1,
        ),
        Claim(
            "theory",
            "wrong answers alone make it rise: right ones cost less than at a quarter (change, nats)",
            by_seed(fitted, lambda t: _rise(t, "logits/right")),
            "<=",
            0,
        ),
        Claim(
            GUO,
            "one temperature takes most of the rise away (what is left of it; bound ours)",
            by_seed(fitted, lambda t: _rise(t, "logits/scaled_cross_entropy") / _rise(t, "logits/cross_entropy")),
            "<=",
            0.5,
        ),
        Claim(
            "theory",
            "squared loss on the test set rises less (quotients end to quarter, MSE over CE)",
            tuple(a / b for a, b in zip(_ratios(squared, "test/loss"), _ratios(fitted, "test/loss"), strict=True)),
            "<=",
            1,
        ),
    ]


def _ratios(table: pd.DataFrame, metric: str) -> tuple[float, ...]:
    return by_seed(table, lambda t: _ratio(t, metric))


def _ratio(table: pd.DataFrame, metric: str) -> float:
    before, after = _quarter_and_end(table, metric)
    return after / before


def _rise(table: pd.DataFrame, metric: str) -> float:
    before, after = _quarter_and_end(table, metric)
    return after - before


def _quarter_and_end(table: pd.DataFrame, metric: str) -> tuple[float, float]:
    found = rows(table, metric).sort_values("epoch")
    epochs, values = found["epoch"].to_numpy(), found["value"].to_numpy()
    return float(values[np.searchsorted(epochs, epochs[-1] / 4)]), float(values[-1])


def _start(table: pd.DataFrame, metric: str) -> float:
    return float(rows(table, metric).sort_values("epoch")["value"].iloc[0])
