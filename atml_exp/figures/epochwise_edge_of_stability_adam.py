"""Adam's edge of stability: its preconditioned sharpness against (2 + 2β₁)/((1 − β₁)η) (Cohen et al. 2022)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, rows, thousands
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw", "stability_limit"]

RATE, BETA = "optimiser.learning_rate", "optimiser.beta1"
COLOURS = (BLUE, VERMILLION, GREEN)
PAPER = "Cohen et al. 2022"
HOVERING = 0.25
"""The last part of a run over which a sharpness is averaged (chosen by us)."""


def stability_limit(rate: float, beta1: float) -> float:
    """Above it a quadratic's top eigenvalue makes gradient descent with an averaged gradient diverge.

    >>> round(0.01 * stability_limit(0.01, 0.9), 9), 0.01 * stability_limit(0.01, 0.0)
    (38.0, 2.0)
    """
    return (2 + 2 * beta1) / ((1 - beta1) * rate)


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """A panel for each β₁ with the preconditioned sharpness, dashed its limit; the last one: the Hessian's own."""
    figure = new_slide()
    parts = list(each(table, BETA))
    panels = figure.subplots(1, len(parts) + 1)
    for axes, (beta1, part) in zip(panels, parts, strict=False):
        _preconditioned(axes, part, beta1)
    panels[0].set_ylabel(r"$\lambda_{\max}$ of $P^{-1}\nabla^2 L$")
    _raw(panels[-1], parts)
    for axes in panels:
        axes.set_xlabel("step of full-batch Adam")
        axes.set_xlim(0, table["step"].max())
        thousands(axes, 4)
    return figure


def _preconditioned(axes: Axes, part: pd.DataFrame, beta1: float) -> None:
    labels = []
    for (rate, runs), colour in zip(each(rows(part, "adam_sharpness/top"), RATE), COLOURS, strict=False):
        band(axes, runs, "step", colour, zorder=3)
        limit = stability_limit(rate, beta1)
        axes.axhline(limit, color=GREY, linestyle="--", linewidth=2, zorder=2)
        labels.append((f"$\\eta$ = {rate:g}", limit, colour))
    axes.set_ylim(0, 1.3 * max([y for _, y, _ in labels], default=1))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y / 1000:g}k" if y >= 1000 else f"{y:g}")
    axes.set_title(rf"$\beta_1$ = {beta1:g}: limit {stability_limit(1.0, beta1):.3g}/$\eta$")
    label_lines(axes, labels, size=15)


def _raw(axes: Axes, parts: list[tuple[float, pd.DataFrame]]) -> None:
    labels = []
    for (beta1, part), style in zip(parts, ("--", "-", ":"), strict=False):
        for (rate, runs), colour in zip(each(rows(part, "sharpness/top"), RATE), COLOURS, strict=False):
            _, mean = band(axes, runs, "step", colour, linestyle=style)
            if rate == part[RATE].min():
                labels.append((rf"$\beta_1$ = {beta1:g}", float(mean[-1]), GREY))
    axes.set_ylim(bottom=0)
    axes.set_title(r"$\lambda_{\max}$ of $\nabla^2 L$ itself")
    label_lines(axes, labels, size=15)


def claims(table: pd.DataFrame) -> list[Claim]:
    """For each β₁ where the preconditioned sharpness settles; over both, whence it came and what went on there."""
    settled = [
        Claim(
            PAPER,
            f"$β_1$ = {beta1:g}: it settles at {stability_limit(1.0, beta1):.3g}$/η$ (worst $η$; bound ours)",
            by_seed(rows(part, "adam_sharpness/top"), lambda t: 100 * max(_over_runs(t, _distance))),
            "<=",
            5,
            "%",
        )
        for beta1, part in each(table, BETA)
    ]
    return [
        *settled,
        Claim(
            PAPER,
            "where it begins below its limit, it rises to it (share of runs)",
            by_seed(rows(table, "adam_sharpness/top"), _share_that_rises),
            ">=",
            1.0,
        ),
        Claim(
            PAPER,
            "once there, the loss still falls (end / on reaching it, worst run)",
            by_seed(table, lambda t: max(_over_runs(t, lambda *run: _since_then("train/loss", *run)))),
            "<=",
            1.0,
        ),
        Claim(
            PAPER,
            "and the Hessian itself goes on sharpening (its $λ_{max}$, end / on reaching it, least)",
            by_seed(table, lambda t: min(_over_runs(t, lambda *run: _since_then("sharpness/top", *run)))),
            ">=",
            1.0,
        ),
    ]


def _over_runs(table: pd.DataFrame, quantity: Callable[[pd.DataFrame, float], float]) -> list[float]:
    """quantity(rows, limit) of each run of one seed."""
    return [
        quantity(runs, stability_limit(rate, beta1))
        for beta1, part in each(table, BETA)
        for rate, runs in each(part, RATE)
    ]


def _distance(runs: pd.DataFrame, limit: float) -> float:
    late = runs[runs["step"] >= (1 - HOVERING) * runs["step"].max()]
    return abs(float(late["value"].mean()) / limit - 1)


def _share_that_rises(table: pd.DataFrame) -> float:
    """Of the runs that are below their limit when first measured, the share that reaches it."""
    begins = _over_runs(table, lambda runs, limit: runs.sort_values("step")["value"].iloc[0] / limit)
    highest = _over_runs(table, lambda runs, limit: runs["value"].max() / limit)
    below = [top >= 1 for begin, top in zip(begins, highest, strict=True) if begin < 1]
    return float(np.mean(below)) if below else float("nan")


def _since_then(name: str, runs: pd.DataFrame, limit: float) -> float:
    """A metric at the end to that when the limit was reached; IndexError where it never was."""
    top, metric = (rows(runs, key).sort_values("step") for key in ("adam_sharpness/top", name))
    reached = top["step"].to_numpy()[top["value"].to_numpy() >= limit][0]
    at = metric["value"].to_numpy()[metric["step"].to_numpy() <= reached][-1]
    return float(metric["value"].iloc[-1] / at)
