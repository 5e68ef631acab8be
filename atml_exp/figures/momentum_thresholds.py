"""The largest stable step size, with and without momentum, on a quadratic and in linear regression."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, VERMILLION, new_slide, slide
from atml_exp.theory import gd_quadratic, largest_stable_learning_rate

__all__ = ["claims", "draw"]

QUADRATIC, REGRESSION = "quadratic", "regression"
RULES = {  # β, Nesterov's, colour, dashed
    "gradient descent": (0.0, False, BLUE, "-"),
    "heavy ball, β = 0.5": (0.5, False, VERMILLION, "--"),
    "heavy ball, β = 0.9": (0.9, False, VERMILLION, "-"),
    "Nesterov, β = 0.5": (0.5, True, GREEN, "--"),
    "Nesterov, β = 0.9": (0.9, True, GREEN, "-"),
}
RATE = "optimiser.learning_rate"
TOP = "sharpness/top"
LONG = 500
"""Steps after which theory's factor is drawn."""
SEEN = (1e-12, 1e300)
"""Of what the loss was above its least: between them neither rounding nor overflow decides."""


@dataclass(frozen=True)
class _Threshold:
    """The largest step size that converged, the smallest that didn't, and theory's."""

    stable: float
    unstable: float
    theory: float

    @property
    def measured(self) -> float:
        return (self.stable + self.unstable) / 2

    @property
    def off(self) -> float:
        """How far the farther of the two is from theory, in per cent."""
        return 100 * max(abs(self.stable / self.theory - 1), abs(self.unstable / self.theory - 1))


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """By how much a step multiplies the distance, against the step size; lines: theory, on the left at every η."""
    figure = new_slide()
    for axes, kind, unit in zip(figure.subplots(1, 2), (QUADRATIC, REGRESSION), ("η", "ηλ_{max}"), strict=True):
        for name, (_, _, colour, line) in RULES.items():
            _factors(axes, _of(table, kind, name), name, kind, colour, line)
        axes.axhline(1, color=BLACK, linewidth=1)
        axes.set_ylim(0.75, 1.25)
        axes.set_xlabel(f"${unit}$")
        axes.set_title(kind)
    figure.axes[0].set_ylabel("distance after a step / before")
    figure.axes[0].legend(loc="lower right", fontsize=13)
    return figure


def _of(table: pd.DataFrame, kind: str, name: str) -> pd.DataFrame:
    """A row for each run, by step size: η, the factor of a step, and the curvature."""
    part = table[table["sweep"] == f"{kind}, {name}"]
    loss = rows(part, "train/loss").sort_values("step")
    least = 0.0 if kind == QUADRATIC else float(loss["value"].min())
    found = [
        {"rate": float(values[RATE].iloc[0]), "factor": _factor(values, least)}
        for _, values in loss.groupby("run_id", observed=True, sort=False)
    ]
    frame = pd.DataFrame(found, columns=["rate", "factor"]).sort_values("rate")
    # of a run that has overflowed there is no Hessian; its neighbours' is the same
    return frame.assign(curvature=1.0 if kind == QUADRATIC else last_values(rows(part, TOP))["value"].median())


def _factor(losses: pd.DataFrame, least: float) -> float:
    """The root of the mean factor of a step on L − L*, up to the last step that neither rounds nor overflows."""
    ratio = (losses["value"].to_numpy() - least) / (losses["value"].iloc[0] - least)
    seen = np.flatnonzero((ratio > SEEN[0]) & (ratio < SEEN[1]))
    step = losses["step"].to_numpy()[seen[-1]]
    return float(ratio[seen[-1]] ** (0.5 / step)) if step > 0 else float("nan")


def _factors(axes: Axes, part: pd.DataFrame, name: str, kind: str, colour: str, line: str) -> None:
    if not len(part):
        return
    curvature = part["curvature"].iloc[0]
    momentum, nesterov, *_ = RULES[name]
    axes.axvline(largest_stable_learning_rate(1.0, momentum, nesterov), color=colour, linestyle=line, linewidth=1)
    axes.plot(part["rate"] * curvature, part["factor"], "o", color=colour, markersize=5)
    if kind == QUADRATIC:
        rates = np.linspace(part["rate"].min(), part["rate"].max(), 200)
        long = [abs(gd_quadratic(1.0, r, LONG, momentum, nesterov)) ** (1 / LONG) for r in rates]
        axes.plot(rates, long, color=colour, linestyle=line, linewidth=1.8, label=name)


def _threshold(table: pd.DataFrame, kind: str, name: str) -> _Threshold:
    part = _of(table, kind, name)
    grows = part["factor"] > 1
    momentum, nesterov, *_ = RULES[name]
    if not len(part) or grows.all() or not grows.any():
        return _Threshold(*[float("nan")] * 3)
    theory = largest_stable_learning_rate(part["curvature"].iloc[0], momentum, nesterov)
    return _Threshold(part[~grows]["rate"].max(), part[grows]["rate"].min(), theory)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Each threshold against theory; the order of the three."""
    quadratic = {name: _threshold(table, QUADRATIC, name) for name in RULES}
    fast = ("gradient descent", "heavy ball, β = 0.9", "Nesterov, β = 0.9")
    regression = {name: _threshold(table, REGRESSION, name) for name in fast}
    plain = regression["gradient descent"].measured
    return [
        Claim(
            "Polyak 1964",
            "quadratic: descent and heavy ball diverge from $(2 + 2β)/λ$ on (farthest neighbour on the grid)",
            (max(quadratic[n].off for n in RULES if not n.startswith("Nesterov")),),
            "<=",
            1.5,
            "%",
        ),
        Claim(
            "Cohen et al. 2021",
            "quadratic: Nesterov's momentum from $(2 + 2β)/((1 + 2β)λ)$ on (farthest neighbour on the grid)",
            (max(quadratic[n].off for n in RULES if n.startswith("Nesterov")),),
            "<=",
            1.5,
            "%",
        ),
        Claim(
            "Cohen et al. 2021",
            "linear regression: the same with $λ_{max}$ of its Hessian (farthest neighbour on the grid)",
            (max(t.off for t in regression.values()),),
            "<=",
            3,
            "%",
        ),
        Claim(
            "Polyak 1964",
            "heavy ball allows larger steps than none (quotient of thresholds, β = 0.9)",
            (regression["heavy ball, β = 0.9"].measured / plain,),
            ">=",
            1,
        ),
        Claim(
            "Cohen et al. 2021",
            "Nesterov's momentum smaller ones (quotient of thresholds, β = 0.9)",
            (regression["Nesterov, β = 0.9"].measured / plain,),
            "<=",
            1,
        ),
    ]
