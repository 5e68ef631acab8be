"""The lasso by ISTA and FISTA beside their bounds, and least squares by SGD, SVRG and gradient descent."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, new_slide, slide

__all__ = ["claims", "draw"]

GAP, DISTANCE, SMOOTHNESS = (f"optimality_gap/{key}" for key in ("gap", "distance", "smoothness"))
RATE, BETWEEN = "optimiser.learning_rate", "optimiser.every"
ISTA, FISTA, SGD, SVRG, GD = "ista", "fista", "sgd", "svrg", "gd"
SEEN = 1e-15
"""Smaller gaps are rounding."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: f − f* of the lasso by step, and the bounds. Right: f − f* of least squares by passes over the data."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    for name, colour, label in ((ISTA, BLUE, "ISTA"), (FISTA, VERMILLION, "FISTA")):
        part = _gaps(table, name)
        _line(left, part, "step", colour, label)
        if len(part) and _is_bounded(_of(table, name)):
            bounds = part.assign(value=_bound(_of(table, name), name, part))
            _line(left, bounds[bounds["step"] > 0], "step", colour, "its bound", linestyle="--", linewidth=1.5)
    for name, colour, label in ((SGD, ORANGE, "SGD"), (GD, BLACK, "gradient descent"), (SVRG, GREEN, "SVRG")):
        _line(right, _gaps(table, name), "passes", colour, label)
    left.set_xscale("log")
    left.set_xlabel("step")
    right.set_xlabel("passes over the training set")
    for axes, title in ((left, "lasso"), (right, "least squares")):
        axes.set_yscale("log")
        axes.set_title(title)
        axes.legend(loc="lower left")
    left.set_ylabel("$f − f*$")
    return figure


def _line(axes: Axes, part: pd.DataFrame, x: str, colour: str, label: str, **look: Any) -> None:
    """Mean and range over seeds, without step 0 on the logarithm's axis and without rounding."""
    shown = part[(part["value"] > SEEN) & (part["step"] > 0)]
    if len(shown):
        band(axes, shown, x, colour, label=label, **look)


def _of(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return table[table["sweep"] == sweep]


def _gaps(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """Gaps by step, and `passes`: how many gradients of single examples they took, by the training set's size."""
    part = rows(_of(table, sweep), GAP).sort_values("step")
    if sweep == SGD:
        return part.assign(passes=part["step"] / part["num_train"])
    if sweep == SVRG:  # two a step, and now and then all
        return part.assign(passes=part["step"] * (2 / part["num_train"] + 1 / part[BETWEEN].astype(float)))
    return part.assign(passes=part["step"])


def _is_bounded(runs: pd.DataFrame) -> bool:
    """Whether the theorems hold: η ≤ 1/L for every run, L known."""
    known = rows(runs, SMOOTHNESS)
    return len(known) > 0 and bool((known["value"] * known[RATE].astype(float) <= 1).all())


def _bound(runs: pd.DataFrame, name: str, gaps: pd.DataFrame) -> np.ndarray:
    """‖w₀ − w*‖²/(2ηN), or accelerated 2‖w₀ − w*‖²/(η(N + 1)²), at the steps N of `gaps`, of each run its own."""
    start = rows(runs, DISTANCE)
    radius = gaps["run_id"].map(start[start["step"] == 0].set_index("run_id")["value"]).to_numpy(float)
    n, rate = gaps["step"].to_numpy(float), gaps[RATE].to_numpy(float)
    with np.errstate(divide="ignore"):
        return radius**2 / (2 * rate * n) if name == ISTA else 2 * radius**2 / (rate * (n + 1) ** 2)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Both theorems at every step that was measured, and which method ends lower."""
    both, sums = table[table["sweep"].isin([ISTA, FISTA])], table[table["sweep"].isin([SGD, SVRG, GD])]
    return [
        Claim(
            "Beck & Teboulle 2009",
            r"ISTA: $f − f* ≤ ‖w_0 − w*‖^2/(2 \eta N)$ (largest quotient over the steps)",
            by_seed(_of(table, ISTA), lambda t: _largest(t, ISTA)),
            "<=",
            1,
        ),
        Claim(
            "Beck & Teboulle 2009",
            r"FISTA: $f − f* ≤ 2‖w_0 − w*‖^2/(\eta (N + 1)^2)$ (largest quotient)",
            by_seed(_of(table, FISTA), lambda t: _largest(t, FISTA)),
            "<=",
            1,
        ),
        Claim(
            "Beck & Teboulle 2009",
            "FISTA ends below ISTA (quotient of the gaps)",
            by_seed(both, lambda t: _last(t, FISTA) / _last(t, ISTA)),
            "<=",
            1,
        ),
        Claim(
            "Johnson & Zhang 2013",
            "SVRG, as many gradients: far below SGD's floor (quotient; bound ours)",
            by_seed(sums, lambda t: _last(t, SVRG) / _floor(t)),
            "<=",
            1e-3,
        ),
        Claim(
            "Johnson & Zhang 2013",
            "and below gradient descent (quotient of the gaps)",
            by_seed(sums, lambda t: _last(t, SVRG) / _last(t, GD)),
            "<=",
            1,
        ),
    ]


def _largest(runs: pd.DataFrame, name: str) -> float:
    """Of gap/bound over all steps from 1; NaN where there is no bound."""
    gaps = _gaps(runs, name)
    later = gaps[gaps["step"] > 0]
    return float((later["value"] / _bound(runs, name, later)).max()) if _is_bounded(runs) else float("nan")


def _last(table: pd.DataFrame, sweep: str) -> float:
    """The last gap, and rounding where it is smaller."""
    return max(SEEN, float(_gaps(table, sweep)["value"].iloc[-1]))


def _floor(table: pd.DataFrame) -> float:
    """SGD's mean gap over the second half of its steps."""
    gaps = _gaps(table, SGD)
    return float(gaps[gaps["step"] >= gaps["step"].max() / 2]["value"].mean())
