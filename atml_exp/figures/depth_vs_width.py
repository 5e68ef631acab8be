"""Nets of equally many parameters, deep and shallow: what they could compute, and what training makes of them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, new_slide, slide
from atml_exp.piece_bounds import least_tent_error, mlp_parameters, most_pieces

__all__ = ["claims", "draw"]

TENT, START, DIGITS = "tent map", "initialisation", "digits"
WIDTH, DEPTH, SKIP, PARAMETERS = "model.width", "model.depth", "model.skip", "parameters"
FOLDS, RATE = "dataset.folds", "optimiser.learning_rate"
BEYOND = 14
"""Folds up to which the bound is drawn."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: the error on the folded tent map. Middle: pieces against units. Right: the error on digits."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _errors(left, _on_tent(table))
    _pieces(middle, table)
    _on_digits(right, _digits(table))
    return figure


def _errors(axes: Axes, found: pd.DataFrame) -> None:
    for (_, size), (line, face) in zip(each(found, PARAMETERS), (("--", "white"), ("-", None)), strict=False):
        for (depth, part), colour in zip(each(size, DEPTH), (BLUE, VERMILLION), strict=False):
            label = f"{depth:g} × {part[WIDTH].iloc[0]:g}"
            band(axes, part, FOLDS, colour, marker="o", linestyle=line, markerfacecolor=face or colour, label=label)
    shallow = found[found[DEPTH] == found[DEPTH].min()]
    for (width, _), line in zip(each(shallow, WIDTH), ("--", "-"), strict=False):
        folds = np.arange(1, BEYOND + 1)
        bound = [float(least_tent_error(most_pieces(int(width), 1), int(k))) for k in folds]
        axes.plot(folds, bound, color=BLACK, linestyle=line, linewidth=1.5)
    axes.text(BEYOND, 1.04, "black: no shallow\nnet can do better", ha="right", fontsize=13)
    axes.set_xlabel("folds $k$ of the tent map")
    axes.set_ylabel("test error / variance of $y$")
    axes.set_xticks(range(2, BEYOND + 1, 2))
    axes.set_yticks(np.linspace(0, 1, 5))
    axes.set_ylim(-0.03, 1.75)
    axes.legend(loc="upper right", fontsize=13, ncols=2, title="layers × units", title_fontsize=13)


def _pieces(axes: Axes, table: pd.DataFrame) -> None:
    start, trained = _counted(table, START), _counted(table, TENT)
    at_right: dict[str, Any] = {"transform": axes.transAxes, "ha": "right"}
    for (depth, part), colour in zip(each(start, DEPTH), (BLUE, ORANGE, VERMILLION, GREEN), strict=False):
        mean = part.groupby("units")["value"].mean()
        axes.plot(mean.index, mean, "o", color=colour, label=f"{depth:g}")
        bound = [float(most_pieces(round(n / depth), int(depth))) for n in mean.index]
        axes.plot(mean.index, bound, ":", color=colour, linewidth=2)
    axes.plot(trained["units"], trained["value"], "x", color=GREY, markersize=7)
    axes.text(0.97, 0.05, "crosses: trained\non the tent map", color=GREY, fontsize=13, **at_right)
    axes.text(0.97, 0.8, "dotted: the most\nblack: units + 1", fontsize=13, **at_right)
    units = np.geomspace(start["units"].min(), trained["units"].max())
    axes.plot(units, units + 1, color=BLACK, linewidth=1.5, zorder=1)
    axes.set_xlabel("units")
    axes.set_ylabel("affine pieces")
    axes.set_xlim(3, 1.3 * float(units.max()))
    axes.set_ylim(2, 5e4)
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.legend(loc="upper left", fontsize=12, title="layers", title_fontsize=12, handletextpad=0.1)


def _on_digits(axes: Axes, found: pd.DataFrame) -> None:
    for (skip, part), colour in zip(each(found, SKIP), (BLUE, VERMILLION), strict=False):
        band(axes, part, DEPTH, colour, scale=100, marker="o", label="skip connections" if skip else "plain")
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("test error on digits (%)")
    axes.set_xscale("log")
    axes.set_xticks(depths := sorted(found[DEPTH].unique()), labels=[f"{d:g}" for d in depths])
    axes.minorticks_off()
    axes.set_ylim(0, 1.5 * 100 * float(found["value"].max()))
    axes.legend(loc="upper left", title="equal parameters", title_fontsize=14, fontsize=14)


def _on_tent(table: pd.DataFrame) -> pd.DataFrame:
    """`value`: 1 − R² on the test set of every net's best step size."""
    tent = _sized(table[table["sweep"] == TENT], 1, 1)
    found = _best(tent, [DEPTH, WIDTH, FOLDS], "test/r_squared")
    return found.assign(value=1 - found["value"])


def _digits(table: pd.DataFrame) -> pd.DataFrame:
    """`value`: test error of every net's best step size."""
    return _best(table[table["sweep"] == DIGITS], [DEPTH, SKIP], "test/error")


def _best(table: pd.DataFrame, net: list[str], name: str) -> pd.DataFrame:
    """A metric at the end, at the step size whose training loss, a mean over seeds, is least for each net."""
    loss = last_values(rows(table, "train/loss")).groupby([*net, RATE], as_index=False)["value"].mean()
    chosen = loss.loc[loss.groupby(net)["value"].idxmin(), [*net, RATE]]
    return last_values(rows(table, name)).merge(chosen, on=[*net, RATE])


def _sized(table: pd.DataFrame, inputs: int, outputs: int) -> pd.DataFrame:
    sizes = [
        mlp_parameters(inputs, int(w), int(d), outputs) for w, d in zip(table[WIDTH], table[DEPTH], strict=True)
    ]
    return table.assign(**{PARAMETERS: sizes})


def _counted(table: pd.DataFrame, sweep: str, *, last: bool = True) -> pd.DataFrame:
    """`value`: affine pieces, at the end or at the start of training; `units`: all hidden ones."""
    found = rows(table[table["sweep"] == sweep], "linear_pieces/pieces")
    found = last_values(found) if last else found[found["step"] == 0]
    return found.assign(units=(found[WIDTH] * found[DEPTH]).astype(float))


def claims(table: pd.DataFrame) -> list[Claim]:
    """Bounds on pieces and by pieces, what is learnt, and what initialisation gives."""
    digits = _digits(table)
    lines = pd.concat([_counted(table, START), _counted(table, TENT), _counted(table, TENT, last=False)])
    return [
        Claim(
            "Serra et al. 2018",
            "one input: no more than $(m + 1)^L$ pieces (largest share of that)",
            by_seed(lines, _largest_share),
            "<=",
            1,
        ),
        Claim(
            "Telgarsky 2016",
            "$t$ pieces leave an error of $1 − (t−1)/2^{k−1}$ (least excess; constants ours)",
            by_seed(_with_bounds(table), lambda t: float((t["value"] - t["bound"]).min())),
            ">=",
            0,
        ),
        *_depth_helps(_on_tent(table)),
        Claim(
            "Hanin & Rolnick 2019",
            "at the start pieces grow as units do, at any depth (|log slope − 1|; bound ours)",
            by_seed(_counted(table, START), lambda t: abs(_slope(t) - 1)),
            "<=",
            0.1,
        ),
        Claim(
            "Hanin & Rolnick 2019",
            "trained on the tent map: no more than units + 1 (largest quotient; bound ours)",
            by_seed(_counted(table, TENT), _largest_quotient),
            "<=",
            1,
        ),
        Claim(
            "Hanin & Rolnick 2019",
            "trained on digits: nor between two examples (largest quotient; bound ours)",
            by_seed(_counted(table, DIGITS), _largest_quotient),
            "<=",
            1,
        ),
        Claim(
            "we",
            "digits: equally good at any depth (range of plain nets' test errors; bound ours)",
            by_seed(digits[~digits[SKIP].astype(bool)], lambda t: 100 * float(np.ptp(t["value"]))),
            "<=",
            2,
            "%",
        ),
    ]


def _depth_helps(found: pd.DataFrame) -> list[Claim]:
    """One claim for each number of parameters."""
    return [
        Claim(
            "Telgarsky 2016",
            f"trained, {size:,} parameters: deep nets err less than shallow (mean difference)",
            by_seed(part, _deep_less_shallow),
            "<=",
            0,
        )
        for size, part in each(found, PARAMETERS)
    ]


def _deep_less_shallow(found: pd.DataFrame) -> float:
    mean = found.groupby(DEPTH)["value"].mean()
    return float(mean.iloc[-1] - mean.iloc[0])


def _largest_share(counted: pd.DataFrame) -> float:
    bounds = [most_pieces(int(w), int(d)) for w, d in zip(counted[WIDTH], counted[DEPTH], strict=True)]
    return max(float(v) / b for v, b in zip(counted["value"], bounds, strict=True))


def _largest_quotient(counted: pd.DataFrame) -> float:
    return float((counted["value"] / (counted["units"] + 1)).max())


def _with_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """Of nets whose pieces on [0, 1] are too few for the tent map, `value`: 1 − R² on the test set; `bound`."""
    found = last_values(rows(table[table["sweep"] == TENT], "test/r_squared"))
    pieces = _counted(table, TENT).set_index("run_id")["value"]
    bounds = [
        float(least_tent_error(pieces[run], int(folds)))
        for run, folds in zip(found["run_id"], found[FOLDS], strict=True)
    ]
    found = found.assign(value=1 - found["value"], bound=bounds)
    return found[found["bound"] > 0]


def _slope(counted: pd.DataFrame) -> float:
    return float(np.polyfit(np.log(counted["units"]), np.log(counted["value"]), 1)[0])
