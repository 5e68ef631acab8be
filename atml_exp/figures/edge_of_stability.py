"""Progressive sharpening up to 2/η, and the loss that goes on falling there (Cohen et al. 2021)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, log_axis, rows, sweeps, thousands
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

RATE = "optimiser.learning_rate"
COLOURS = (BLUE, VERMILLION, GREEN)
NAMES = {"chebyshev": "cubic, 20 points: net 1-30-1", "digits": "digits: net 64-64-64-10"}
PAPER = "Cohen et al. 2021"
HOVERING = 0.25
"""The last part of a run over which the sharpness is averaged (chosen by us)."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """λ_max above, training loss below, one column for each sweep; dashed: 2/η."""
    figure = new_slide()
    parts = list(sweeps(table))
    panels = figure.subplots(2, len(parts), squeeze=False, sharex="col", height_ratios=[3, 2])
    for column, (name, part) in enumerate(parts):
        _sharpness(panels[0, column], part)
        _loss(panels[1, column], part)
        panels[0, column].set_title(NAMES.get(name, name))
    panels[0, 0].set_ylabel(r"sharpness $\lambda_{\max}$")
    panels[1, 0].set_ylabel("training loss")
    return figure


def _sharpness(axes: Axes, part: pd.DataFrame) -> None:
    labels = []
    for (rate, runs), colour in zip(each(rows(part, "sharpness/top"), RATE), COLOURS, strict=False):
        band(axes, runs, "step", colour, zorder=3)
        axes.axhline(2 / rate, color=GREY, linestyle="--", linewidth=2, zorder=2)
        labels.append((f"$2/\\eta$ = {2 / rate:g}", 2 / rate, colour))
    axes.set_ylim(0, 1.15 * max([y for _, y, _ in labels], default=1))
    label_lines(axes, labels, size=16)


def _loss(axes: Axes, part: pd.DataFrame) -> None:
    labels = []
    for (rate, runs), colour in zip(each(rows(part, "train/loss"), RATE), COLOURS, strict=False):
        _, mean = band(axes, runs, "step", colour)
        labels.append((f"$\\eta$ = {rate:g}", float(mean[-1]), colour))
    log_axis(axes)
    axes.set_xlabel("step of gradient descent")
    axes.set_xlim(0, part["step"].max())
    thousands(axes)
    label_lines(axes, labels, size=16)


def claims(table: pd.DataFrame) -> list[Claim]:
    """For each sweep: where the sharpness settles, from where it came, and what the loss did meanwhile."""
    return [claim for name, part in sweeps(table) for claim in _claims_of(NAMES.get(name, name), part)]


def _claims_of(name: str, part: pd.DataFrame) -> list[Claim]:
    top, loss = rows(part, "sharpness/top"), rows(part, "train/loss")
    where = name.partition(":")[0]
    return [
        Claim(
            PAPER,
            f"{where}: $λ_{{max}}$ settles at $2/η$ (distance, worst $η$; 5 % chosen by us)",
            by_seed(top, lambda t: 100 * _worst(t, _distance)),
            "<=",
            5,
            "%",
        ),
        Claim(
            PAPER,
            f"{where}: where $λ_{{max}}$ begins below $2/η$, it rises to it (share of $η$)",
            by_seed(top, _share_that_rises),
            ">=",
            1.0,
        ),
        Claim(
            PAPER,
            f"{where}: once there, the loss still falls (end / on reaching it, worst $η$)",
            by_seed(pd.concat([top, loss]), lambda t: _worst(t, _loss_ratio)),
            "<=",
            1.0,
        ),
    ]


def _worst(table: pd.DataFrame, quantity: Callable[[float, pd.DataFrame], float]) -> float:
    return max(quantity(rate, runs) for rate, runs in each(table, RATE))


def _share_that_rises(table: pd.DataFrame) -> float:
    """Of the learning rates with λ_max < 2/η at the start, the share for which λ_max reaches 2/η."""
    curves = {rate: runs.sort_values("step")["value"].to_numpy() for rate, runs in each(table, RATE)}
    return float(np.mean([v.max() >= 2 / rate for rate, v in curves.items() if v[0] < 2 / rate]))


def _distance(rate: float, runs: pd.DataFrame) -> float:
    late = runs[runs["step"] >= (1 - HOVERING) * runs["step"].max()]
    return abs(float(late["value"].mean()) * rate / 2 - 1)


def _loss_ratio(rate: float, runs: pd.DataFrame) -> float:
    """IndexError where the sharpness never reached 2/η."""
    top, loss = (rows(runs, name).sort_values("step") for name in ("sharpness/top", "train/loss"))
    crossing = top["step"].to_numpy()[top["value"].to_numpy() >= 2 / rate][0]
    at = loss["value"].to_numpy()[loss["step"].to_numpy() <= crossing][-1]
    return float(loss["value"].iloc[-1] / at)
