"""What integrated gradients leave of F(x) − F(x′) by their number of steps, beside the quadrature's theory."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

PAPER, THEORY = "Sundararajan et al. 2017", "theory"
NETS, BARE, ACTIVATION = "nets", "no biases", "model.activation"
COLOURS = {"relu": VERMILLION, "tanh": BLUE, "gelu": GREEN}
NAMES = {"relu": "ReLU", "tanh": "tanh", "gelu": "GELU"}
MIDPOINT, GAUSS = "midpoint", "gauss_legendre"
SMOOTH = ("tanh", "gelu")
MEAN_OF_ABS = float(np.sqrt(2 / np.pi))
"""E|e| of a Gaussian e to its standard deviation: the error of a kinked net is a sum over many kinks."""
FLOOR = 1e-16  # what is less is rounding


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: relative error by steps, with theory's lines. Right: integrated gradients and the controls, by net."""
    figure = new_slide()
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _by_steps(left, table)
    _controls(right, table)
    return figure


def _by_steps(axes: Axes, table: pd.DataFrame) -> None:
    labels = {}
    for activation, colour in COLOURS.items():
        part = _part(table, NETS, activation)
        if not len(part):
            continue
        steps, errors = _curves(part)
        axes.fill_between(steps, errors.min(0), errors.max(0), color=colour, alpha=0.22, linewidth=0)
        axes.plot(steps, errors.mean(0), "o", color=colour, markersize=7)
        expected = np.mean([_expected(run, activation) for _, run in part.groupby("run_id", observed=True)])
        power = 2 if activation in SMOOTH else 1
        axes.plot(steps, 100 * expected / steps**power, color=colour, linewidth=1.8)
        slope = "m²" if power == 2 else "m"
        labels[f"{NAMES[activation]}\n∝ 1/{slope}"] = (float(100 * expected / steps[-1] ** power), colour)
    axes.axhline(5, color=GREY, linewidth=1.5, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("gradients $m$ on the way from baseline to input")
    axes.set_ylabel("error of the sum (% of $F(x) − F(x')$)")
    axes.set_title("points: measured, lines: theory", fontsize=16)
    axes.text(axes.get_xlim()[1] / 1.15, 5.6, "5 %", color=GREY, fontsize=14, ha="right")
    label_lines(axes, labels, 15)


def _controls(axes: Axes, table: pd.DataFrame) -> None:
    ways = (
        ("occlusion", "occlusion", ORANGE, "^"),
        ("gradient_input", "gradient × input", BLACK, "s"),
        (MIDPOINT, "integrated gradients, midpoint rule", BLUE, "o"),
        (GAUSS, "integrated gradients, Gauss–Legendre", SKY, "D"),
    )
    nets = [(NETS, "relu"), (NETS, "gelu"), (NETS, "tanh"), (BARE, "relu")]
    for way, label, colour, marker in ways:
        for place, (sweep, activation) in enumerate(nets):
            values = 100 * np.maximum(_found(_part(table, sweep, activation), way), FLOOR)
            height = np.full(len(values), len(nets) - 1.0 - place)
            axes.plot(values, height, marker, color=colour, alpha=0.6, label=label if place == 0 else None)
    names = [NAMES[a] + (",\nno biases" if s == BARE else "") for s, a in nets]
    axes.set_yticks(range(len(nets)), names[::-1])
    axes.set_ylim(-0.5, len(nets) + 0.75)
    axes.set_xscale("log")
    axes.set_xlim(3e-15, 1e3)
    axes.set_xticks([1e-14, 1e-10, 1e-6, 1e-2, 1e2])
    axes.set_xlabel("error of the sum (%)")
    axes.legend(loc="upper left", fontsize=14)


def _found(runs: pd.DataFrame, way: str) -> np.ndarray:
    """Relative errors by seed; of integrated gradients with the most steps."""
    if way not in (MIDPOINT, GAUSS):
        return _scalar(runs, way)
    return np.array([_curve(directory, way)[1][-1] for directory in runs.drop_duplicates("run_id")["directory"]])


def _part(table: pd.DataFrame, sweep: str, activation: str) -> pd.DataFrame:
    return table[(table["sweep"] == sweep) & (table[ACTIVATION] == activation)]


def _scalar(runs: pd.DataFrame, key: str) -> np.ndarray:
    return last_values(rows(runs, f"completeness/{key}"))["value"].to_numpy(float)


def _one(runs: pd.DataFrame, key: str) -> float:
    return float(_scalar(runs, key)[0])


def _expected(runs: pd.DataFrame, activation: str) -> float:
    """c of one run: the error is c/m² for smooth nets; c/m, on average over places of kinks, for others."""
    return _one(runs, "smooth") if activation in SMOOTH else MEAN_OF_ABS * _one(runs, "typical")


def _curves(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Steps (M,), and the midpoint rule's errors in per cent (seeds, M)."""
    found = [_curve(directory) for directory in runs.drop_duplicates("run_id")["directory"]]
    return found[0][0], np.stack([100 * errors for _, errors in found])


def _curve(directory: str, rule: str = MIDPOINT) -> tuple[np.ndarray, np.ndarray]:
    steps, errors = (Run(Path(directory)).array(f"completeness/{key}")[1][-1] for key in ("steps", rule))
    return steps.astype(float), errors


def claims(table: pd.DataFrame) -> list[Claim]:
    """Steps that suffice, the rates of smooth and kinked nets, and what is complete without an integral."""
    nets, bare = table[table["sweep"] == NETS], table[table["sweep"] == BARE]
    relu = _part(table, NETS, "relu")
    return [
        Claim(
            PAPER,
            "20 to 300 steps bring the sum within 5 % (worst net, 32 steps)",
            by_seed(nets, lambda t: max(100 * _at(t, a, 32) for a in COLOURS)),
            "<=",
            5,
            "%",
        ),
        *(
            Claim(
                THEORY,
                f"{NAMES[a]}: error $|g'(1) − g'(0)|/(24m^2)$ (|quotient − 1|; bound ours)",
                by_seed(_part(table, NETS, a), _off_theory),
                "<=",
                0.05,
            )
            for a in SMOOTH
        ),
        Claim(
            THEORY,
            "ReLU: the error falls as $1/m$ (|slope + 1| in log–log, from 4 steps; bound ours)",
            by_seed(relu, lambda t: abs(_slope(t) + 1)),
            "<=",
            0.2,
        ),
        Claim(
            THEORY,
            "ReLU: never above $V/(2m)$, $V$ the variation of the slope $g$ (largest quotient)",
            by_seed(relu, _to_bound),
            "<=",
            1,
        ),
        Claim(
            "Euler",
            "ReLU without biases: gradient × input is complete (error)",
            by_seed(bare, lambda t: 100 * _one(t, "gradient_input")),
            "<=",
            1e-10,
            "%",
        ),
        Claim(
            THEORY,
            "with biases it misses more than 5 % (least of the nets; bound ours)",
            by_seed(nets, lambda t: min(100 * _one(t[t[ACTIVATION] == a], "gradient_input") for a in COLOURS)),
            ">=",
            5,
            "%",
        ),
    ]


def _of(runs: pd.DataFrame, activation: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Steps and errors of the one run of a seed."""
    chosen = runs if activation is None else runs[runs[ACTIVATION] == activation]
    return _curve(chosen["directory"].iloc[0])


def _at(runs: pd.DataFrame, activation: str, number: int) -> float:
    steps, errors = _of(runs, activation)
    return float(errors[list(steps).index(number)])


def _off_theory(runs: pd.DataFrame) -> float:
    steps, errors = _of(runs)
    return abs(errors[-1] * steps[-1] ** 2 / _one(runs, "smooth") - 1)


def _slope(runs: pd.DataFrame) -> float:
    steps, errors = _of(runs)
    chosen = steps >= 4
    return float(np.polyfit(np.log(steps[chosen]), np.log(errors[chosen]), 1)[0])


def _to_bound(runs: pd.DataFrame) -> float:
    steps, errors = _of(runs)
    return float((errors * steps).max()) / _one(runs, "kinked")
