"""Sharpness and test error of SAM against SGD with as many gradients and as many steps (Foret et al. 2021)."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLUE, GREY, VERMILLION, label_lines, new_slide, slide

__all__ = ["claims", "draw"]

RHO, NOISE = "optimiser.rho", "dataset.wrapper.label_noise.fraction"
COLOURS = (BLUE, VERMILLION)
CONTROLS = {"SGD": "--", "SGD, as many steps": ":"}
PAPER = "Foret et al. 2021"
USUAL = 0.05
"""The radius that the paper recommends (its default)."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """λ_max of the training loss and test error against SAM's radius ρ; SGD as horizontal lines."""
    figure = new_slide()
    left, right = figure.subplots(1, 2)
    _panel(left, last_values(rows(table, "sharpness/top")), 1)
    left.set_ylabel(r"sharpness $\lambda_{\max}$ at the end")
    _panel(right, last_values(rows(table, "test/error")), 100)
    right.set_ylabel("test error (%)")
    _name_lines(right, table)
    return figure


def _panel(axes: Axes, found: pd.DataFrame, scale: float) -> None:
    labels = {}
    for (noise, chosen), colour in zip(each(found, NOISE), COLOURS, strict=False):
        sam = chosen[chosen["sweep"] == "SAM"]
        _, mean = band(axes, sam, RHO, colour, scale=scale, marker="o", clip_on=False)
        labels[f"{100 * noise:g} % of labels\nwrong" if noise else "all labels\nright"] = (float(mean[-1]), colour)
        for sweep, line in CONTROLS.items():
            values = scale * chosen.loc[chosen["sweep"] == sweep, "value"]
            axes.axhline(values.mean(), color=colour, linestyle=line, linewidth=2.5)
            axes.axhspan(values.min(), values.max(), color=colour, alpha=0.1, linewidth=0)
    axes.set_xlabel(r"radius $\rho$ of SAM")
    axes.set_ylim(0, 1.05 * scale * found["value"].max())
    log_axis(axes, "x")
    label_lines(axes, labels, size=16)
    axes.axvline(USUAL, color=GREY, linewidth=1, zorder=0)


def _name_lines(axes: Axes, table: pd.DataFrame) -> None:
    """Which line is which, at those of the highest label noise, where they are far apart."""
    error = last_values(rows(table, "test/error"))
    error = error[error[NOISE] == error[NOISE].max()]
    names = {"SGD": "SGD, as many gradients", "SGD, as many steps": "SGD, as many steps"}
    for sweep, name in names.items():
        at = 100 * error.loc[error["sweep"] == sweep, "value"].mean()
        axes.text(0.98, at, name, color=COLOURS[1], va="bottom", ha="right", size=16, transform=_across(axes))
    sam = error[error["sweep"] == "SAM"]
    at = 100 * sam.loc[sam[RHO] == sam[RHO].min(), "value"].mean()
    axes.text(0.06, 0.8 * at, "SAM", color=COLOURS[1], va="top", size=16, transform=_across(axes))


def _across(axes: Axes) -> Transform:
    """x as a fraction of the axes, y in data."""
    return axes.get_yaxis_transform()


def claims(table: pd.DataFrame) -> list[Claim]:
    """Flatter than SGD, with fewer errors on correct and on wrong labels; the flatter the larger ρ."""
    top, error = (last_values(rows(table, n)) for n in ("sharpness/top", "test/error"))
    noise = sorted(top[NOISE].unique())
    wrong = f"{100 * noise[-1]:g} % wrong labels"
    return [
        _claim("flatter than SGD (quotient of their $λ_{max}$, as many gradients, labels right)", top, noise[0], 1),
        Claim(
            PAPER,
            "the larger $ρ$, the flatter (Kendall's $τ$ of $ρ$ and $λ_{max}$, labels right; −1: at each step)",
            by_seed(_of(top, "SAM", noise[0]), lambda t: kendall(t, RHO)),
            "<=",
            -1,
        ),
        _claim("fewer test errors (SAM − SGD, as many gradients, labels right)", error, noise[0]),
        _claim(f"fewer test errors (SAM − SGD, as many gradients, {wrong})", error, noise[-1]),
        _claim(
            f"fewer test errors (SAM − SGD, as many steps, {wrong})",
            error,
            noise[-1],
            control="SGD, as many steps",
        ),
    ]


def _claim(
    statement: str, found: pd.DataFrame, noise: float, ratio: float | None = None, *, control: str = "SGD"
) -> Claim:
    """SAM at the usual radius against a control: the quotient where `ratio` bounds it, else the difference in %."""
    ours = _of(found, "SAM", noise)
    both = pd.concat([ours[ours[RHO] == USUAL], _of(found, control, noise)])

    def compared(t: pd.DataFrame) -> float:
        at = t.set_index("sweep")["value"]
        if set(at.index) != {"SAM", control}:
            return math.nan
        return at["SAM"] / at[control] if ratio else 100 * (at["SAM"] - at[control])

    statement = f"at $ρ = {USUAL}$ {statement}"
    return Claim(PAPER, statement, by_seed(both, compared), "<=", ratio or 0, "" if ratio else "%")


def _of(found: pd.DataFrame, sweep: str, noise: float) -> pd.DataFrame:
    return found[(found["sweep"] == sweep) & (found[NOISE] == noise)]
