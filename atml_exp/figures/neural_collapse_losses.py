"""Neural collapse by loss, weight decay, wrong labels and split, beside the unconstrained-features model."""

import math

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows, sweeps
from atml_exp.figures.style import BLACK, BLUE, VERMILLION, new_figure, slide
from atml_exp.figures.terminal_phase import compared
from atml_exp.unconstrained import collapsed_scale

__all__ = ["claims", "draw", "loss_at_minimum"]

DECAY = "optimiser.weight_decay"
LOSSES = {"cross_entropy": ("cross-entropy", BLUE), "mse": ("squared loss", VERMILLION)}
QUANTITIES = {
    "nc1": "NC1: variability",
    "nc2_etf_means": "NC2: distance to frame",
    "nc3": "NC3: self-duality",
    "nc4": "NC4: differing (%)",
}
COLLAPSING = ("nc1", "nc2_etf_means", "nc3")
SWEEPS = {"digits": "digits", "label_noise": "20 % wrong\nlabels", "unconstrained": "free\nfeatures"}
LOWEST = 1e-7
"""Below it there is rounding alone."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """A row for each setting, a column for each quantity; the free features' loss in place of NC4, which is 0."""
    parts = [(name, part) for name, part in sweeps(table) if name in SWEEPS]
    figure = new_figure(13.333, 0.9 + 1.75 * len(parts))
    panels = figure.subplots(len(parts), len(QUANTITIES), squeeze=False)
    for line, (sweep, part) in zip(panels, parts, strict=True):
        for axes, name in zip(line, QUANTITIES, strict=True):
            if name == "nc4" and sweep == "unconstrained":
                _losses(axes, part)
            else:
                _panel(axes, part, name)
            axes.set_xlim(0, part["epoch"].max())
        line[0].set_ylabel(SWEEPS[sweep], size=16)
    for axes, title in zip(panels[0], QUANTITIES.values(), strict=True):
        axes.set_title(f"\n{title}", size=16)  # the empty line is the key's
    for axes in panels[-1]:
        axes.set_xlabel("epoch", size=16)
    _key(panels[0, 0])
    return figure


def _key(axes: Axes) -> None:
    colours = [Line2D([], [], color=colour, label=label) for label, colour in LOSSES.values()]
    kinds = {"with weight decay": "-", "without": "--", "with, on test set": ":"}
    lines = [*colours, *(Line2D([], [], color=BLACK, ls=s, label=label) for label, s in kinds.items())]
    above = axes.legend(handles=lines, ncols=len(lines), loc="lower left", bbox_to_anchor=(-0.3, 1.3))
    above.set_in_layout(False)


def _panel(axes: Axes, part: pd.DataFrame, name: str) -> None:
    scale = 100 if name == "nc4" else 1
    train, test = (rows(part, f"{probe}/{name}") for probe in ("neural_collapse", "neural_collapse_test"))
    for loss, (_, colour) in LOSSES.items():
        for decay, runs in each(train[train["loss"] == loss], DECAY):
            band(axes, _above_rounding(runs), "epoch", colour, scale=scale, linestyle="-" if decay else "--")
        seen = test[(test["loss"] == loss) & (test[DECAY] > 0)]
        if len(seen):
            band(axes, seen, "epoch", colour, scale=scale, linestyle=":")
    if name == "nc4":
        axes.set_yscale("symlog", linthresh=1)
        axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        axes.set_ylim(-0.1, 100)
    else:
        _few_ticks(axes)


def _few_ticks(axes: Axes) -> None:
    """Powers of ten where there are several of them, else 1, 2, 5."""
    log_axis(axes)
    low, high = axes.get_ylim()
    if high / low > 200:
        axes.yaxis.set_major_locator(ticker.LogLocator(numticks=5))


def _above_rounding(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.assign(value=runs["value"].clip(lower=LOWEST)) if (runs["value"] < LOWEST).any() else runs


def _losses(axes: Axes, part: pd.DataFrame) -> None:
    """The training loss with weight decay, and the closed form that it must arrive at."""
    decayed = rows(part, "train/loss")
    decayed = decayed[decayed[DECAY] > 0]
    for loss, (_, colour) in LOSSES.items():
        runs = decayed[decayed["loss"] == loss]
        if len(runs):
            band(axes, runs, "epoch", colour)
            axes.axhline(loss_at_minimum(runs), color=BLACK, linestyle="-.", linewidth=1.6)
    _few_ticks(axes)
    axes.set_title("loss (black: theory)", size=16)


def loss_at_minimum(runs: pd.DataFrame) -> float:
    """The training loss, without the penalty, of the unconstrained-features model's global minimum.

    runs: rows of one loss and one weight decay λ > 0. Squared loss: a bias under weight decay too, which is
    1/(C(1 + λ)) in each output.
    """
    first = runs.iloc[0]
    c, decay, loss = int(first["num_classes"]), float(first[DECAY]), first["loss"]
    s = collapsed_scale(c, int(first["num_train"]) // c, decay, loss)
    if loss == "cross_entropy":
        return math.log1p((c - 1) * math.exp(-s))
    return (c - 1) / (2 * c) * (1 - s) ** 2 + (decay / (1 + decay)) ** 2 / (2 * c)


def claims(table: pd.DataFrame) -> list[Claim]:
    """The worse of the two losses counts, with weight decay unless said."""
    digits, noisy, free = (table[table["sweep"] == name] for name in SWEEPS)
    return [
        Claim(
            "Han et al. 2022",
            "digits: NC1 to NC3 fall in the terminal phase (largest end/begin, with decay)",
            by_seed(digits, _largest_growth),
            "<=",
            1,
        ),
        Claim(
            "Zhu et al. 2021",
            "digits: weight decay deepens each of them (largest with/without at the end)",
            by_seed(digits, _decay_against_none),
            "<=",
            1,
        ),
        Claim(
            "Zhu et al. 2021",
            "wrong labels, once fitted, don't prevent it (largest end/begin, with decay)",
            by_seed(noisy, _largest_growth),
            "<=",
            1,
        ),
        Claim(
            "Hui et al. 2022",
            "digits: new examples are collapsed less (smallest NC1, test/training)",
            by_seed(digits, lambda t: float((_ends(t, "nc1", test=True) / _ends(t, "nc1")).min())),
            ">=",
            1,
        ),
        Claim(
            "Nguyen et al. 2023",
            "wrong labels dilate new examples' classes (smallest test NC1, with/without)",
            by_seed(table, _dilation),
            ">=",
            1,
        ),
        Claim(
            "Zhu et al. 2021; Zhou et al. 2022",
            "free features collapse fully (largest of NC1 to NC3; bound ours)",
            by_seed(free, lambda t: max(float(_ends(t, name).max()) for name in COLLAPSING)),
            "<=",
            1e-3,
        ),
        Claim(
            "Zhu et al. 2021; Zhou et al. 2022",
            "their loss is the global minimum's (largest deviation; bound ours)",
            by_seed(free, lambda t: 100 * _deviation(t)),
            "<=",
            0.1,
            "%",
        ),
    ]


def _decayed(table: pd.DataFrame) -> pd.DataFrame:
    return table[table[DECAY] > 0]


def _largest_growth(table: pd.DataFrame) -> float:
    """Over the quantities and the runs with weight decay: end/begin of the terminal phase."""
    return max(
        max(compared(_decayed(table), f"neural_collapse/{name}", lambda begin, end: end / begin))
        for name in COLLAPSING
    )


def _ends(table: pd.DataFrame, name: str, *, decayed: bool = True, test: bool = False) -> pd.Series:
    """By loss, at the end."""
    found = last_values(rows(table, f"neural_collapse{'_test' if test else ''}/{name}"))
    return found[(found[DECAY] > 0) == decayed].set_index("loss")["value"].sort_index()


def _decay_against_none(table: pd.DataFrame) -> float:
    ratios = [_ends(table, name) / _ends(table, name, decayed=False) for name in COLLAPSING]
    return float(np.max(ratios))


def _dilation(table: pd.DataFrame) -> float:
    noisy, clean = (_ends(table[table["sweep"] == s], "nc1", test=True) for s in ("label_noise", "digits"))
    return float((noisy / clean).min())


def _deviation(table: pd.DataFrame) -> float:
    """The largest relative difference of the final training loss from the closed form."""
    last = _decayed(last_values(rows(table, "train/loss")))
    return max(abs(runs["value"].iloc[0] / loss_at_minimum(runs) - 1) for _, runs in each(last, "loss"))
