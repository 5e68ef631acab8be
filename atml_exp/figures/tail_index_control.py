"""Tail indices of Gaussian noise and of SGD's, with all coordinates pooled and one by one."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw", "pooled_reading"]

EQUAL, UNEQUAL = "Gaussian, equal scales", "Gaussian, unequal scales"
BATCHES, DRAWN, RESHUFFLED = "SGD: mini-batches' noise", "SGD: steps, replacement", "SGD: steps, reshuffled"
SIMSEKLI = "Şimşekli et al. 2019"
LOW, HIGH = -0.25, 1.25
"""The readings 1/α̂ that the histograms show."""


class Row(NamedTuple):
    """Where a row's readings stand: the rows of the table, and which probe."""

    name: str
    part: pd.DataFrame
    probe: str
    colour: str


def pooled_reading(deviations: np.ndarray, block_size: int) -> float:
    """What the estimator says of Gaussian coordinates with these standard deviations, pooled row by row.

    1/α̂ = ½ + (½ log mean s² − mean log s)/log K₁, K₁ a multiple of their number.

    >>> pooled_reading(np.ones(3), 30)
    2.0
    """
    excess = 0.5 * math.log(float(np.mean(deviations**2))) - float(np.mean(np.log(deviations)))
    return 1 / (0.5 + excess / math.log(block_size))


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: the readings of each kind of noise, a tick where theory has them; right: how coordinates scatter."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    found = [row for row in _rows(table) if len(row.part)]
    _readings(left, table, found)
    _histograms(right, [row for row in found if row.name not in (EQUAL, DRAWN)])
    return figure


def _readings(axes: Axes, table: pd.DataFrame, found: list[Row]) -> None:
    looks = (("pooled", VERMILLION, "D", "all coordinates pooled"), ("per_coordinate", BLUE, "o", "one by one"))
    expected = {EQUAL: 2.0, UNEQUAL: _expected(table)}
    for i, row in enumerate(found):
        for key, colour, marker, label in looks:
            values = last_values(rows(row.part, f"{row.probe}/{key}"))["value"]
            shown = label if i == 0 else None
            axes.plot(values, np.full(len(values), -i), marker, color=colour, alpha=0.8, label=shown)
        if row.name in expected:
            axes.plot(expected[row.name], -i, "|", color=BLACK, markersize=26, zorder=1)
    axes.axvline(2, color=GREY, linestyle=":", linewidth=2.5, zorder=0)
    axes.set_yticks([-i for i in range(len(found))], [row.name for row in found])
    axes.set_ylim(-len(found) + 0.4, 1.15)
    axes.set_xlabel(r"tail index $\hat{\alpha}$ (2: Gaussian; bars: theory)")
    axes.legend(loc="upper right", ncols=2, handletextpad=0.1, columnspacing=0.8, borderaxespad=0.1)


def _histograms(axes: Axes, found: list[Row]) -> None:
    for row in found:
        values = np.concatenate([_inverse(d, row.probe) for d in row.part["directory"].unique()])
        bins = np.linspace(LOW, HIGH, 31).tolist()
        shares = np.full(len(values), 100 / len(values))
        looks: dict[str, Any] = {"color": row.colour, "linewidth": 2.5, "label": row.name}
        axes.hist(np.clip(values, LOW, HIGH), bins=bins, weights=shares, histtype="step", **looks)
    axes.axvline(0.5, color=GREY, linestyle=":", linewidth=2.5, zorder=0)
    axes.set_ylim(0, 1.55 * axes.get_ylim()[1])
    axes.set_xlim(LOW, HIGH)
    axes.set_xticks([0, 0.5, 1])
    axes.set_xlabel(r"$1/\hat{\alpha}$ (0.5: Gaussian)")
    axes.set_ylabel("share of coordinates (%)")
    axes.legend(loc="upper left", fontsize=14.5, labelspacing=0.3, borderaxespad=0.1, handlelength=1.2)


def _inverse(directory: str, probe: str) -> np.ndarray:
    return np.asarray(1 / Run(directory).array(f"{probe}/readings")[1][-1])


def _rows(table: pd.DataFrame) -> list[Row]:
    gauss, sgd = (table[table["sweep"] == sweep] for sweep in ("Gaussian", "SGD"))
    unequal = gauss["dataset.spectrum"].astype(float) > 0 if len(gauss) else np.zeros(0, dtype=bool)
    drawn = sgd["recipe.replacement"].astype(bool) if len(sgd) else np.zeros(0, dtype=bool)
    return [
        Row(EQUAL, gauss[~unequal], "tail_index", GREY),
        Row(UNEQUAL, gauss[unequal], "tail_index", BLACK),
        Row(BATCHES, sgd[drawn], "batch_tail_index", GREEN),
        Row(DRAWN, sgd[drawn], "tail_index", PURPLE),
        Row(RESHUFFLED, sgd[~drawn], "tail_index", PURPLE),
    ]


def _expected(table: pd.DataFrame) -> float:
    """Of the unequal Gaussian noise: coordinate i has the variance i^−a."""
    gauss = table[(table["sweep"] == "Gaussian") & (table["dataset.spectrum"].astype(float) > 0)]
    if gauss.empty:
        return math.nan
    first = gauss.iloc[0]
    i = np.arange(1, int(first["dataset.dimension"]) + 1)
    block = int(first["probe.tail_index.fn.block_size"])
    return pooled_reading(i ** (-float(first["dataset.spectrum"]) / 2), block)


def claims(table: pd.DataFrame) -> list[Claim]:
    """What the estimator says of noise that is Gaussian by construction, and what of SGD's."""
    parts = {row.name: row for row in _rows(table)}

    def values(name: str, key: str) -> tuple[float, ...]:
        row = parts[name]
        return by_seed(last_values(rows(row.part, f"{row.probe}/{key}")), lambda t: float(t["value"].mean()))

    def distance(name: str, key: str, expected: float) -> tuple[float, ...]:
        return tuple(100 * abs(value / expected - 1) for value in values(name, key))

    gaussian = (
        ("Gaussian, equal scales, pooled: $α = 2$", distance(EQUAL, "pooled", 2.0)),
        (
            "Gaussian, unequal, pooled: the formula's $α$",
            distance(UNEQUAL, "pooled", _expected(table)),
        ),
        ("Gaussian, unequal scales, one by one: $α = 2$", distance(UNEQUAL, "per_coordinate", 2.0)),
    )
    noise = (
        ("noise of mini-batches, pooled: $α$ below 2", values(BATCHES, "pooled")),
        ("noise of mini-batches, coordinates one by one: $α$ below 2", values(BATCHES, "per_coordinate")),
        ("steps of SGD (replacement), one by one: $α$ below 2", values(DRAWN, "per_coordinate")),
    )
    return [
        *(Claim("theory", f"{text} (distance; 5 % chosen by us)", v, "<=", 5, "%") for text, v in gaussian),
        *(Claim(SIMSEKLI, text, v, "<=", 2) for text, v in noise),
    ]
