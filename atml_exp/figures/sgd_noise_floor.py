"""SGD's mean squared distance on a quadratic: constant and decreasing steps, averages, and theory for each."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, label_lines, new_slide, slide
from atml_exp.theory import sgd_stationary_variance

__all__ = ["claims", "draw"]

CONSTANT, ROOT, INVERSE, AVERAGE = "constant", "inverse square root", "inverse time", "averaging"
RATE, NOISE, DIMENSION = "optimiser.learning_rate", "optimiser.noise_std", "model.dimension"
CURVATURE = 1.0
"""h, of all directions."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """E(w − w*)² of a coordinate against steps, both logarithmic. Left: constant η. Right: the other ways."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, sharey=True)
    for axes in (left, right):  # before the labels, which stand where the lines end
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(3e-5, 2)
        axes.set_xlabel("step")
    _constant(left, _of(table, CONSTANT))
    _others(right, table)
    left.set_ylabel("$E(w − w*)^2$")
    return figure


def _of(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """Mean squares over coordinates, from step 1 on."""
    found = rows(table[table["sweep"] == sweep], "suboptimality/distance").sort_values("step")
    found = found[found["step"] > 0]
    return found.assign(value=found["value"] ** 2 / found[DIMENSION])


def _constant(axes: Axes, part: pd.DataFrame) -> None:
    labels = {}
    for (rate, runs), colour in zip(each(part, RATE), (BLUE, VERMILLION, GREEN, PURPLE), strict=False):
        at, mean = band(axes, runs, "step", colour, marker="o", markersize=5, linestyle="none")
        t = np.geomspace(1, at.max(), 200)
        axes.plot(t, _exact(runs, t), color=BLACK, linewidth=1.5)
        labels[f"$η = {rate:g}$"] = (float(mean[-1]), colour)
    label_lines(axes, labels)


def _others(axes: Axes, table: pd.DataFrame) -> None:
    labels, last = {}, np.array([1.0])
    named = (
        (ROOT, (PURPLE,), r"$η/\sqrt{t}$"),
        (INVERSE, (BLUE,), "$1/(ht)$"),
        (AVERAGE, (VERMILLION, ORANGE), ""),
    )
    for sweep, colours, label in named:
        for (rate, runs), colour in zip(each(_of(table, sweep), RATE), colours, strict=False):
            last, mean = band(axes, runs, "step", colour, marker="o", markersize=5)
            labels[label or f"mean, $η = {rate:g}$"] = (float(mean[-1]), colour)
    t = np.geomspace(1, last.max(), 50)
    axes.plot(t, _best(_of(table, INVERSE), t), "--", color=BLACK, linewidth=1.5)
    label_lines(axes, labels)


def _exact(runs: pd.DataFrame, t: np.ndarray) -> np.ndarray:
    """V_t = (1 − ηh)^2t V_0 + (1 − (1 − ηh)^2t) V_∞, from V_0 = radius²/D."""
    of = runs.iloc[0]
    kept = (1 - float(of[RATE]) * CURVATURE) ** (2 * t)
    start = float(of["model.radius"]) ** 2 / float(of[DIMENSION])
    return kept * start + (1 - kept) * _floor(runs)


def _floor(runs: pd.DataFrame) -> float:
    of = runs.iloc[0]
    return sgd_stationary_variance(CURVATURE, float(of[NOISE]) ** 2, float(of[RATE]))


def _best(runs: pd.DataFrame, t: np.ndarray) -> np.ndarray:
    """s²/(h²t)."""
    variance = float(runs[NOISE].iloc[0]) ** 2 if len(runs) else float("nan")
    return variance / (CURVATURE**2 * t)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Each curve against its theory; bounds on deviations are four standard errors of a mean of 1000 squares."""
    constant, average = _of(table, CONSTANT), _of(table, AVERAGE)
    inverse = _of(table, INVERSE)
    return [
        Claim(
            "theory",
            "constant η: the exact curve at every step (largest deviation; 4 s.e.)",
            by_seed(constant, lambda t: max(_off(runs, _exact(runs, _steps(runs))) for _, runs in each(t, RATE))),
            "<=",
            18,
            "%",
        ),
        Claim(
            "Robbins & Monro 1951",
            "steps of $1/(h(t + 1))$: $s^2/(h^2t)$ at every step (largest deviation; 4 s.e.)",
            by_seed(inverse, lambda t: _off(t, _best(t, _steps(t)))),
            "<=",
            18,
            "%",
        ),
        Claim(
            "Polyak & Juditsky 1992",
            "averages end there too, whatever η is (largest deviation; 4 s.e.)",
            by_seed(average, lambda t: max(_off(_end(r), _best(r, _steps(_end(r)))) for _, r in each(t, RATE))),
            "<=",
            18,
            "%",
        ),
        Claim(
            "Nemirovski et al. 2009",
            r"steps of $η/\sqrt{t}$ end below the same η, constant (quotient)",
            by_seed(table, lambda t: _last(_of(t, ROOT)) / _last(_largest(_of(t, CONSTANT)))),
            "<=",
            1,
        ),
        Claim(
            "Polyak & Juditsky 1992",
            "but above an average (quotient to the worst)",
            by_seed(table, lambda t: _last(_of(t, ROOT)) / max(_last(r) for _, r in each(_of(t, AVERAGE), RATE))),
            ">=",
            1,
        ),
    ]


def _steps(runs: pd.DataFrame) -> np.ndarray:
    return runs["step"].to_numpy(dtype=float)


def _off(runs: pd.DataFrame, theory: np.ndarray) -> float:
    """In per cent."""
    return float(100 * np.abs(runs["value"].to_numpy() / theory - 1).max())


def _end(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["step"] == runs["step"].max()]


def _last(runs: pd.DataFrame) -> float:
    return float(_end(runs)["value"].iloc[0])


def _largest(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs[RATE] == runs[RATE].max()]
