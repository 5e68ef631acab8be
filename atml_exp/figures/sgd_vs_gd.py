"""The noise of SGD on a quadratic, where theory says all, and in a net, where it chooses the minimum."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows, thousands
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw", "stationary_variance"]

RATE, METHOD = "optimiser.learning_rate", "method"
BURN_IN = 0.2
"""The first part of a run on the quadratic that is left out: there the weights still come from their start."""

DRAWN, RESHUFFLED, GAUSSIAN, LABELS, NOTHING = "mini-batches", "reshuffled", "Gaussian noise", "label noise", "GD"
LOOKS = {
    DRAWN: (PURPLE, "o", 16),
    GAUSSIAN: (GREEN, "D", 10),
    LABELS: (VERMILLION, "^", 6),
    RESHUFFLED: (BLUE, "s", 8),
    NOTHING: (BLACK, "o", 8),
}
"""Colour, marker and its size: the first three lie on one another."""
IN_A_NET = {RESHUFFLED: "SGD", GAUSSIAN: "GD + noise", LABELS: "SGD +\nlabel noise", NOTHING: "GD"}


def stationary_variance(rate: float, noise: float, curvature: float) -> float:
    """ηs²/(h(2 − ηh)): of w in w ← w − η(hw + noise of variance s²), for ηh < 2.

    >>> stationary_variance(1.0, 3.0, 1.0)  # each step then forgets the one before
    3.0
    """
    return rate * noise / (curvature * (2 - rate * curvature))


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: variance of w over s² on the quadratic, dashed: theory; then sharpness and test error in the net."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    _floors(left, table)
    net = _with_method(table[table["sweep"] == "net"])
    middle.set_ylabel(r"sharpness $\lambda_{\max}$")
    _curves(middle, rows(net, "sharpness/top"))
    right.set_ylabel("test error (%)")
    error = rows(net, "test/error")
    _curves(right, error[error["step"] > 0], 100)
    for axes, title in zip((left, middle, right), ("quadratic", "net on 500 digits", "the same net"), strict=True):
        axes.set_title(title)
    return figure


def _floors(axes: Axes, table: pd.DataFrame) -> None:
    found = _ratios(table)
    curvature = _minimum(table, "sharpness/top")
    rates = np.geomspace(0.8 * found[RATE].min(), min(1.25 * found[RATE].max(), 1.9 / curvature), 100)
    axes.plot(rates, [stationary_variance(r, 1, curvature) for r in rates], "--", color=GREY, label="theory")
    for method, (colour, marker, size) in LOOKS.items():
        part = found[found[METHOD] == method]
        if len(part):
            line = "-" if method == RESHUFFLED else ""
            scaled = part.assign(value=part["variance"] / part["noise"])
            looks: dict[str, Any] = {"marker": marker, "markersize": size, "linestyle": line, "label": method}
            band(axes, scaled, RATE, colour, zorder=3, **looks)
    log_axis(axes)
    axes.set_xscale("log")
    axes.set_xticks(sorted(found[RATE].unique()))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel(r"step size $\eta$")
    axes.set_ylabel(r"variance of $w$ / variance $s^2$ of noise")
    axes.set_ylim(top=40 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", handlelength=1.4, fontsize=14.5, labelspacing=0.35, borderaxespad=0.1)


def _curves(axes: Axes, found: pd.DataFrame, scale: float = 1.0) -> None:
    labels = {}
    for method, part in each(found, METHOD):
        colour = LOOKS[method][0]
        _, mean = band(axes, part, "step", colour, scale=scale)
        labels[IN_A_NET.get(method, method)] = (float(mean[-1]), colour)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, found["step"].max())
    axes.set_xlabel("step")
    thousands(axes)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3, steps=[1, 2, 5, 10]))
    label_lines(axes, labels, size=16)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Theory's noise floor, whatever the noise is; which minimum is found; and whether it is the better one."""
    floors = _ratios(table)
    net = _with_method(table[table["sweep"] == "net"])
    sharpness, error = (last_values(rows(net, name)) for name in ("sharpness/top", "test/error"))
    return [*_floor_claims(floors), *_flatness_claims(sharpness), *_error_claims(error)]


def _floor_claims(floors: pd.DataFrame) -> Iterator[Claim]:
    for method, what in (
        (DRAWN, "mini-batches keep"),
        (GAUSSIAN, "injected noise keeps"),
        (LABELS, "noisy labels keep"),
    ):
        yield Claim(
            "Mandt et al. 2017",
            f"quadratic: {what} the variance $ηs^2/(h(2−ηh))$ (mean distance; 10 % chosen by us)",
            by_seed(floors[floors[METHOD] == method], lambda t: 100 * abs(t["ratio"].mean() - 1)),
            "<=",
            10,
            "%",
        )
    yield Claim(
        "Gürbüzbalaban et al. 2021",
        "quadratic: mini-batches without replacement leave less (variance, to that with; worst $η$)",
        by_seed(floors, lambda t: (_by_rate(t, RESHUFFLED) / _by_rate(t, DRAWN)).max()),
        "<=",
        1,
    )


def _flatness_claims(sharpness: pd.DataFrame) -> Iterator[Claim]:
    for paper, statement, flat, sharp in (
        ("Keskar et al. 2017", "net: SGD ends flatter than GD", RESHUFFLED, NOTHING),
        ("Zhu et al. 2019", "net: SGD ends flatter than GD with isotropic noise", RESHUFFLED, GAUSSIAN),
        ("Damian et al. 2021", "net: SGD with label noise ends flatter than without", LABELS, RESHUFFLED),
    ):
        yield Claim(
            paper,
            f"{statement} ($λ_{{max}}$, the one to the other)",
            by_seed(sharpness, partial(_quotient, flat, sharp)),
            "<=",
            1,
        )


def _error_claims(error: pd.DataFrame) -> Iterator[Claim]:
    yield Claim(
        "Keskar et al. 2017",
        "net: SGD generalises better than GD (test error, SGD − GD)",
        by_seed(error, lambda t: 100 * (_of(t, RESHUFFLED) - _of(t, NOTHING))),
        "<=",
        0,
        "%",
    )


def _quotient(one: str, other: str, table: pd.DataFrame) -> float:
    return _of(table, one) / _of(table, other)


def _of(table: pd.DataFrame, method: str) -> float:
    return float(table[table[METHOD] == method]["value"].iloc[0])


def _by_rate(table: pd.DataFrame, method: str) -> "pd.Series[float]":
    """The variance at each learning rate; ValueError where there is none."""
    found = table[table[METHOD] == method].set_index(RATE)["variance"]
    if found.empty:
        raise ValueError(f"no run with {method}")
    return found


def _with_method(table: pd.DataFrame) -> pd.DataFrame:
    """With the column `method`: where the noise comes from."""
    chosen = [
        table["recipe.label_noise"] > 0,
        table["optimiser"] == "NoisyGD",
        table["optimiser"] == "GD",
        table["recipe.replacement"].astype(bool),
    ]
    return table.assign(**{METHOD: np.select(chosen, [LABELS, GAUSSIAN, NOTHING, DRAWN], RESHUFFLED)})


def _minimum(table: pd.DataFrame, name: str) -> float:
    """Of the quadratic, where gradient descent has come to rest."""
    return float(last_values(rows(table[table["sweep"] == "minimum"], name))["value"].mean())


def _ratios(table: pd.DataFrame) -> pd.DataFrame:
    """For each run on the quadratic its variance, the variance of its noise, and the ratio to theory."""
    h, least, trace = (_minimum(table, n) for n in ("sharpness/top", "train/loss", "gradient_noise/trace"))
    loss = _with_method(rows(table[table["sweep"] == "quadratic"], "train/loss"))
    late = loss[loss["step"] > BURN_IN * loss["step"].max()]
    found = late.groupby("run_id", observed=True, sort=False).first()
    excess = late.groupby("run_id", observed=True, sort=False)["value"].mean() - least
    found["variance"] = 2 * excess / h  # the loss is ½h(w − w*)² above its least value
    n = found["num_train"]
    noise = {
        DRAWN: trace * (n - 1) / n / found["recipe.batch_size"].astype(float),  # the probe divides by n − 1
        GAUSSIAN: found["optimiser.noise_std"] ** 2,
        LABELS: found["recipe.label_noise"] ** 2 * h / n,
    }
    noise[RESHUFFLED] = noise[DRAWN]
    found["noise"] = np.select([found[METHOD] == m for m in noise], list(noise.values()), np.nan)
    found["ratio"] = found["variance"] / stationary_variance(found[RATE], found["noise"], h)
    return found.reset_index()
