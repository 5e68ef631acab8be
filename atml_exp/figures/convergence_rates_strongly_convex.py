"""Convergence on strongly convex quadratics: paths in closed form, and steps against the condition number."""

import json
import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run
from atml_exp.theory import best_rate, gd_quadratic

__all__ = ["claims", "draw"]

DISTANCE = "suboptimality/distance"
METHODS = {  # name in `theory.best_rate`, colour, Nesterov's
    "gradient descent": ("gradient_descent", BLUE, False),
    "heavy ball": ("heavy_ball", VERMILLION, False),
    "nesterov": ("nesterov", GREEN, True),
}
SEARCH = "line search"
SEEN = 1e-12
"""Smaller distances aren't drawn; they are measured, as their rounding is relative: w* is 0."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: distances at the middle condition number. Right: steps per factor e, with theory's lines."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    kappas = sorted(set(_parts(table)["kappa"]))
    _paths(left, table, kappas[len(kappas) // 2])
    _steps(right, table, kappas)
    return figure


def _parts(table: pd.DataFrame) -> pd.DataFrame:
    """Distances with columns `method` and `kappa`, which the sweeps' names say."""
    found = rows(table, DISTANCE)
    names = found["sweep"].str.rsplit(" ", n=1)
    return found.assign(method=names.str[0], kappa=names.str[1].astype(float)).sort_values("step")


def _paths(axes: Axes, table: pd.DataFrame, kappa: float) -> None:
    parts = _parts(table)
    for name, colour in (*((n, c) for n, (_, c, _) in METHODS.items()), (SEARCH, BLACK)):
        part = parts[(parts["method"] == name) & (parts["kappa"] == kappa) & (parts["value"] > SEEN)]
        for i, (_, run) in enumerate(part.groupby("run_id", observed=True, sort=False)):
            axes.plot(run["step"], run["value"], color=colour, linewidth=1.5, label=name if i == 0 else None)
    axes.set_yscale("log")
    axes.set_xlim(0, 1.5 * axes.get_xlim()[1])  # room for the legend
    axes.set_xlabel("step")
    axes.set_ylabel(f"$‖w − w*‖$, $κ = {kappa:g}$")
    axes.legend(loc="upper right")


def _steps(axes: Axes, table: pd.DataFrame, kappas: list[float]) -> None:
    each = _each(table)
    labels = {}
    for name, (key, colour, _) in METHODS.items():
        of = each[each["method"] == name].groupby("kappa")["steps"]
        axes.plot(of.mean().index, of.mean(), "o", color=colour)
        line = [-1 / math.log(best_rate(k, key)) for k in kappas]
        axes.plot(kappas, line, color=colour, linewidth=1.5)
        labels[name.replace(" ", "\n")] = (line[-1], colour)
    axes.set_xscale("log")
    axes.set_xlabel("condition number $κ$")
    axes.set_ylabel("steps to shrink by $e$")
    log_axis(axes)
    label_lines(axes, labels)


def _each(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: its method, κ, and how many steps of its second half shrink the distance by e."""
    found = []
    for (method, kappa, seed, _), run in _parts(table).groupby(
        ["method", "kappa", "seed", "run_id"], observed=True
    ):
        later = run[(run["step"] >= run["step"].max() / 2) & (run["value"] > 0)]
        slope = np.polyfit(later["step"], np.log(later["value"]), 1)[0] if len(later) > 1 else np.nan
        found.append({"method": method, "kappa": kappa, "seed": seed, "steps": -1 / slope})
    return pd.DataFrame(found)


def claims(table: pd.DataFrame) -> list[Claim]:
    """The closed form; the rates; how they grow with κ; and what steepest descent gains."""
    each = _each(table)
    return [
        Claim(
            "Polyak 1964",
            "each point of each path is the closed form's (relative deviation; bound ours)",
            (_deviation(table),),
            "<=",
            1e-9,
        ),
        *(
            Claim(
                paper,
                f"{name}: steps for a factor $e$ as in theory (deviation; bound ours)",
                by_seed(each[each["method"] == name], partial(_off, name=name)),
                "<=",
                5,
                "%",
            )
            for name, paper in (
                ("gradient descent", "Nesterov 2018"),
                ("heavy ball", "Polyak 1964"),
                ("nesterov", "Nesterov 2018"),
            )
        ),
        Claim(
            "Polyak 1964",
            "they grow as $κ$, with heavy ball as $\\sqrt{κ}$ (quotient of exponents; bound ours)",
            by_seed(each, lambda t: _exponent(t, "gradient descent") / _exponent(t, "heavy ball")),
            ">=",
            1.8,
        ),
        Claim(
            "Nocedal & Wright 2006",
            "steepest descent keeps the best fixed step's bound (largest quotient of rates)",
            by_seed(each[each["method"] == SEARCH], _search_rate),
            "<=",
            1,
        ),
    ]


def _deviation(table: pd.DataFrame) -> float:
    worst = [0.0]
    parts = _parts(table)
    for (method, directory), run in parts[parts["method"] != SEARCH].groupby(
        ["method", "directory"], observed=True
    ):
        steps, points = Run(str(directory)).array("suboptimality/point")
        of = run.iloc[0]
        momentum = of.get("optimiser.momentum", np.nan)
        rule = (float(of["optimiser.learning_rate"]), 0.0 if pd.isna(momentum) else float(momentum))
        spectrum = json.loads(of["model.spectrum"])
        for step, point in zip(steps, points, strict=True):
            factors = gd_quadratic(spectrum, rule[0], int(step), rule[1], METHODS[str(method)][2])
            worst.append(float(np.linalg.norm(point - factors * points[0]) / np.linalg.norm(points[0])))
    return max(worst) if len(worst) > 1 else float("nan")


def _off(each: pd.DataFrame, name: str) -> float:
    theory = [-1 / math.log(best_rate(k, METHODS[name][0])) for k in each["kappa"]]
    return float(100 * np.abs(each["steps"] / theory - 1).max())


def _exponent(each: pd.DataFrame, name: str) -> float:
    of = each[each["method"] == name]
    return float(np.polyfit(np.log(of["kappa"]), np.log(of["steps"]), 1)[0])


def _search_rate(each: pd.DataFrame) -> float:
    """Measured logarithmic rate, to that of the bound on the gap, which is the distance's squared."""
    bound = [best_rate(k, "gradient_descent") for k in each["kappa"]]
    return float((np.exp(-1 / each["steps"]) / bound).max())
