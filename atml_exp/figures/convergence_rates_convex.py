"""f − f* of smooth convex functions by step, beside the bounds of gradient descent, acceleration, and of all."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import each, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, new_slide, slide
from atml_exp.theory import acceleration_bound, first_order_lower_bound, gradient_descent_bound

__all__ = ["claims", "draw"]

GAP, DISTANCE, MADE_FOR, RATE = (
    "suboptimality/gap",
    "suboptimality/distance",
    "model.steps",
    "optimiser.learning_rate",
)
SMOOTHNESS, CONVEXITY = "suboptimality/smoothness", "suboptimality/strong_convexity"
DESCENT, FAST, SEARCH, HUBER = "gradient descent", "acceleration", "line search", "huber"
BACKTRACKING, FIXED = "valley, backtracking", "valley, fixed step"
Bound = Callable[[np.ndarray, float, float], np.ndarray]


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: the worst case of all methods. Middle: gradient descent's own. Right: where theory says nothing."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _worst(left, table)
    _huber(middle, table)
    _valley(right, table)
    for axes, title in ((left, "hard for all"), (middle, "hard for descent"), (right, "not convex")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_title(title)
    left.set_ylabel("$f − f*$")
    return figure


def _of(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return rows(table[table["sweep"] == sweep], GAP).sort_values("step")


def _worst(axes: Axes, table: pd.DataFrame) -> None:
    for name, colour in ((DESCENT, BLUE), (FAST, VERMILLION), (SEARCH, GREEN)):
        gaps = _after(_of(table, name))
        axes.plot(gaps["step"], gaps["value"], color=colour, label=name)
    for name, bound, colour in ((DESCENT, gradient_descent_bound, BLUE), (FAST, acceleration_bound, VERMILLION)):
        n = _steps(_of(table, name))
        if (smoothness := _smoothness(table, name)) is not None:
            axes.plot(n, bound(n, smoothness, _radius(table, name)), "--", color=colour, linewidth=1.5)
    n = _steps(_of(table, DESCENT))
    if len(n) and _is_worst_case(table, DESCENT):
        limit = float(first_order_lower_bound(n[-1], 1.0, _radius(table, DESCENT)))
        axes.plot(n[-1], limit, "v", color=BLACK, markersize=10, label="limit of any", linestyle="none")
        axes.set_ylim(bottom=1e-3 * limit)
    axes.legend(loc="lower left")


def _huber(axes: Axes, table: pd.DataFrame) -> None:
    part = _of(table, HUBER)
    if MADE_FOR not in part:  # of other functions
        return
    colours = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
    for (made_for, gaps), colour in zip(each(part, MADE_FOR), colours, strict=False):
        later = gaps[(gaps["step"] > 0) & (gaps["value"] > 1e-12)]
        axes.plot(later["step"], later["value"], color=colour, label=f"made for {made_for:g}")
        at = gaps[gaps["step"] == made_for]
        axes.plot(at["step"], at["value"], "o", color=colour)
    n, smoothness = _steps(part), _smoothness(table, HUBER)
    if smoothness is not None:
        bound = gradient_descent_bound(n, smoothness, _radius(table, HUBER))
        axes.plot(n, bound, "--", color=BLACK, linewidth=1.5, label="bound")
    axes.set_ylim(1e-6, 1)
    axes.legend(loc="lower left")


def _valley(axes: Axes, table: pd.DataFrame) -> None:
    for name, colour in ((FIXED, BLUE), (BACKTRACKING, GREY)):
        gaps = _after(_of(table, name))
        axes.plot(gaps["step"], gaps["value"], color=colour, label=name.partition(", ")[2])
    axes.legend(loc="lower left")


def _after(gaps: pd.DataFrame) -> pd.DataFrame:
    """Without step 0, which a logarithm has no place for."""
    return gaps[gaps["step"] > 0]


def _steps(gaps: pd.DataFrame) -> np.ndarray:
    return np.unique(_after(gaps)["step"].to_numpy())


def _radius(table: pd.DataFrame, sweep: str) -> float:
    """‖w₀ − w*‖; NaN where there is no run."""
    distances = rows(table[table["sweep"] == sweep], DISTANCE)
    at = distances[distances["step"] == 0]["value"]
    return float(at.iloc[0]) if len(at) else float("nan")


def _smoothness(table: pd.DataFrame, sweep: str) -> float | None:
    """L, where the bounds hold: of functions known to be convex and smooth, with steps of 1/L. Else None."""
    runs = table[table["sweep"] == sweep]
    known = rows(runs, SMOOTHNESS)["value"]
    if not len(known) or not len(rows(runs, CONVEXITY)):
        return None
    smoothness = float(known.iloc[0])
    return smoothness if np.allclose(runs[RATE].astype(float) * smoothness, 1, rtol=1e-9) else None


def _is_worst_case(table: pd.DataFrame, sweep: str) -> bool:
    """Whether the function is the one that is hard for all methods."""
    return bool((table[table["sweep"] == sweep]["model"] == "nesterov_worst_case").all())


def claims(table: pd.DataFrame) -> list[Claim]:
    """Each bound at each step; where it is reached; and that acceleration beats what descent is promised."""
    return [
        Claim(
            "Drori & Teboulle 2014",
            "gradient descent: $f − f* ≤ LR^2/(4N + 2)$ (largest quotient over the steps)",
            by_seed(_all(table, DESCENT), lambda t: _largest(t, DESCENT, gradient_descent_bound)),
            "<=",
            1,
        ),
        Claim(
            "Drori & Teboulle 2014",
            "and for each $N$ there is a function with equality (largest deviation; bound ours)",
            by_seed(_all(table, HUBER), _reached),
            "<=",
            1e-9,
        ),
        Claim(
            "Beck & Teboulle 2009",
            "acceleration: $f − f* ≤ 2LR^2/(N + 1)^2$ (largest quotient over the steps)",
            by_seed(_all(table, FAST), lambda t: _largest(t, FAST, acceleration_bound)),
            "<=",
            1,
        ),
        Claim(
            "Nesterov 2018",
            "no method of the three gets below $3LR^2/(32(N + 1)^2)$ (least quotient at $N = (D − 1)/2$)",
            by_seed(table, _least_of_all),
            ">=",
            1,
        ),
        Claim(
            "Nesterov 1983",
            "acceleration ends below gradient descent and line search (quotient to the better)",
            by_seed(table, lambda t: _last(t, FAST) / min(_last(t, DESCENT), _last(t, SEARCH))),
            "<=",
            1,
        ),
    ]


def _all(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return table[table["sweep"] == sweep]


def _largest(table: pd.DataFrame, sweep: str, bound: Bound) -> float:
    """Of (f − f*)/bound over all steps from 1."""
    gaps, smoothness = _after(_of(table, sweep)), _smoothness(table, sweep)
    if smoothness is None:
        return float("nan")
    return float((gaps["value"] / bound(gaps["step"].to_numpy(), smoothness, _radius(table, sweep))).max())


def _reached(table: pd.DataFrame) -> float:
    """|gap/bound − 1| at the step that each function was made for."""
    part, smoothness = _of(table, HUBER), _smoothness(table, HUBER)
    if smoothness is None:
        return float("nan")
    at = part[part["step"] == part[MADE_FOR]]
    bound = gradient_descent_bound(at["step"].to_numpy(), smoothness, _radius(table, HUBER))
    return float(np.abs(at["value"] / bound - 1).max())


def _least_of_all(table: pd.DataFrame) -> float:
    found = []
    for sweep in (DESCENT, FAST, SEARCH):
        if not _is_worst_case(table, sweep):
            return float("nan")
        gaps = _of(table, sweep)
        hard_for = (int(gaps["model.dimension"].iloc[0]) - 1) // 2
        at = float(gaps[gaps["step"] == hard_for]["value"].iloc[0])
        found.append(at / float(first_order_lower_bound(hard_for, 1.0, _radius(table, sweep))))
    return min(found)


def _last(table: pd.DataFrame, sweep: str) -> float:
    return float(_of(table, sweep)["value"].iloc[-1])
