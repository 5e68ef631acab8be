"""Test risk over the time of training: linear regression on two scales, and a net with wrong labels."""

import json

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, VERMILLION, label_lines, new_slide, slide
from atml_exp.theory import gradient_descent_risk

__all__ = ["claims", "draw"]

TWO, ONE, NET = "two scales", "one scale", "net"
FRACTION = "dataset.wrapper.label_noise.fraction"
HECKEL, NAKKIRAN = "Heckel & Yilmaz 2021", "Nakkiran et al. 2020"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: linear regression beside its closed form. Right: a net on digits; dotted: all examples are fitted."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    _linear(left, table)
    _net(right, _of(table, NET))
    for axes in (left, right):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        axes.set_xlabel("step")
    return figure


def _of(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return table[table["sweep"] == sweep]


def _linear(axes: Axes, table: pd.DataFrame) -> None:
    labels = {}
    for name, colour in ((TWO, BLUE), (ONE, GREEN)):
        part = _of(table, name)
        if not len(part):
            continue
        risks = _excess(part).groupby("step")["value"]
        axes.errorbar(risks.mean().index, risks.mean(), risks.sem(), fmt="o", color=colour, zorder=3)
        t = np.unique(np.geomspace(1, part["step"].max(), 300).round()).astype(int)
        t = np.concatenate([[0], t])
        theory = _theory(part, t)
        axes.plot(t, theory, color=BLACK, linewidth=1.8, zorder=2)
        labels[name] = (float(theory[-1]), colour)
    axes.set_ylabel("test risk above the noise")
    axes.set_ylim(0, None)
    label_lines(axes, labels)


def _net(axes: Axes, part: pd.DataFrame) -> None:
    labels = {}
    for fraction, runs in each(part, FRACTION):
        colour = VERMILLION if fraction > 0 else BLUE
        _, mean = band(axes, rows(runs, "test/error"), "step", colour, scale=100, marker="o", markersize=4)
        labels[f"{100 * fraction:g} % wrong"] = (float(mean[-1]), colour)
        axes.axvline(_fitted(runs), color=colour, linestyle=":", linewidth=2, zorder=0)
    axes.set_ylabel("test error (%)")
    if labels:
        log_axis(axes)
        label_lines(axes, labels)


def _excess(part: pd.DataFrame) -> pd.DataFrame:
    """Test risks above the noise's variance, E(y − f)² − σ²; the test loss is half a mean square."""
    found = rows(part, "test/loss")
    return found.assign(value=2 * found["value"] - found["dataset.noise_std"] ** 2)


def _theory(part: pd.DataFrame, steps: np.ndarray) -> np.ndarray:
    of = part.iloc[0]
    variance = float(of["dataset.noise_std"]) ** 2
    spectrum, teacher = (json.loads(of[f"dataset.{key}"]) for key in ("spectrum", "teacher"))
    n, rate = int(of["num_train"]), float(of["optimiser.learning_rate"])
    return gradient_descent_risk(steps, spectrum, teacher, variance, n, rate) - variance


def _fitted(runs: pd.DataFrame) -> float:
    """The first recorded step from which the mean training error is 0; NaN where it never is."""
    mean = rows(runs, "train/error").groupby("step")["value"].mean()
    above = mean.index[mean > 0]
    after = mean.index[mean.index > (above.max() if len(above) else -1)]
    return float(after.min()) if len(after) else float("nan")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Against the closed form, the two descents, what one scale does; and the same of the net."""
    two, net = _of(table, TWO), _of(table, NET)
    wrong = net[net[FRACTION] > 0]
    errors, fitted = rows(wrong, "test/error"), _fitted(wrong)
    return [
        Claim(
            HECKEL,
            "the risk is the closed form's at every step (largest deviation of means; bound ours)",
            _deviation(two),
            "<=",
            10,
            "%",
        ),
        Claim(
            HECKEL,
            "two scales: after its first descent the risk rises (by)",
            by_seed(two, lambda t: _turns(t)[1] - _turns(t)[0]),
            ">=",
            0,
        ),
        Claim(
            HECKEL,
            "and it falls again, below its first minimum (by)",
            by_seed(two, lambda t: _turns(t)[0] - _turns(t)[2]),
            ">=",
            0,
        ),
        Claim(
            HECKEL,
            "with one scale the risk at its best moment is lower (difference of the least risks)",
            by_seed(table, lambda t: _excess(_of(t, TWO))["value"].min() - _excess(_of(t, ONE))["value"].min()),
            ">=",
            0,
        ),
        Claim(
            NAKKIRAN,
            "net: until it fits all labels, the test error rises from its least (by)",
            by_seed(errors, lambda t: 100 * (_at(t, fitted) - t[t["step"] < fitted]["value"].min())),
            ">=",
            0,
            "%",
        ),
        Claim(
            NAKKIRAN,
            "net: it rises by more where labels are wrong (difference of the rises)",
            by_seed(rows(net, "test/error"), _more_where_wrong),
            ">=",
            0,
            "%",
        ),
        Claim(
            NAKKIRAN,
            "net: once it fits all labels, the test error falls again (by, until the end)",
            by_seed(errors, lambda t: 100 * (_at(t, fitted) - _at(t, t["step"].max()))),
            ">=",
            0,
            "%",
        ),
    ]


def _deviation(part: pd.DataFrame) -> tuple[float, ...]:
    """In per cent; one number, of the means over seeds."""
    if not len(part):
        return (float("nan"),)
    mean = _excess(part).groupby("step")["value"].mean()
    return (float(100 * np.abs(mean / _theory(part, mean.index.to_numpy()) - 1).max()),)


def _turns(part: pd.DataFrame) -> tuple[float, float, float]:
    """Risks at the steps where the closed form has its first minimum, the maximum after it, and at the end.

    Raises IndexError where it has none.
    """
    risk = _excess(part).sort_values("step")
    theory = _theory(part, risk["step"].to_numpy())
    first = np.flatnonzero(np.diff(theory) > 0)[0]
    top = first + np.flatnonzero(np.diff(theory[first:]) < 0)[0]
    low, high, last = risk["value"].to_numpy()[[first, top, -1]]
    return float(low), float(high), float(last)


def _at(errors: pd.DataFrame, step: float) -> float:
    return float(errors.set_index("step")["value"].loc[step])


def _more_where_wrong(errors: pd.DataFrame) -> float:
    rises = errors.sort_values("step").groupby(FRACTION)["value"].agg(lambda e: 100 * (e.iloc[-1] - e.min()))
    return float(rises.iloc[-1] - rises.loc[0.0])
