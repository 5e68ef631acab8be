"""Changes of test losses that influence functions predict, beside those that leaving examples out brings about."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

RIDGE, LOGISTIC, NET = "ridge", "logistic", "net"
CHECK, RETRAINING = "influence_check", "influence_retraining"
DECAY, DEPTH = "optimiser.weight_decay", "model.depth"
KOH, BASU = "Koh & Liang 2017", "Basu et al. 2021"
SEEDS = "left and middle: the first seed; right: mean over seeds, and their range"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Predicted and actual changes of convex models and of nets, and how well they agree, by weight decay."""
    figure = new_slide()
    convex, nets, by_decay = figure.subplots(1, 3)
    _convex(convex, table)
    _nets(nets, table)
    _by_decay(by_decay, table)
    return figure


def _convex(axes: Axes, table: pd.DataFrame) -> None:
    """In units of each model's largest change, of the first seed."""
    shown = ((LOGISTIC, BLUE, "o"), (RIDGE, VERMILLION, "^"))
    for sweep, colour, marker in shown:
        part = table[table["sweep"] == sweep].sort_values("seed", kind="stable")
        if not len(part):
            continue
        run = part.iloc[0]
        actual, first, newton = (_array(run, CHECK, key).ravel() for key in ("actual", "predicted", "newton"))
        size = max(np.abs(actual).max(), np.abs(first).max())
        axes.plot(first / size, actual / size, marker, color=colour, alpha=0.6, markersize=6, label=sweep)
        axes.plot(newton / size, actual / size, ".", color=BLACK, markersize=3, zorder=4)
    axes.plot([], [], ".", color=BLACK, label="Newton's step")
    _identity(axes)
    axes.set_title("convex models")
    axes.set_ylabel("actual change of a test loss")
    axes.legend(loc="upper left", handletextpad=0.2)


def _nets(axes: Axes, table: pd.DataFrame) -> None:
    """Of the deepest nets, the least and the most weight decay, first seed."""
    part = table[table["sweep"] == NET]
    if len(part):
        deepest = part[part[DEPTH] == part[DEPTH].max()]
        decays = sorted(deepest[DECAY].unique())
        for decay, colour, marker in ((decays[-1], BLUE, "o"), (decays[0], ORANGE, "^")):
            run = deepest[deepest[DECAY] == decay].sort_values("seed", kind="stable").iloc[0]
            actual, predicted = (_array(run, RETRAINING, key).ravel() for key in ("actual", "predicted"))
            size = max(np.abs(actual).max(), np.abs(predicted).max())
            label = f"decay {decay:g}"
            axes.plot(predicted / size, actual / size, marker, color=colour, alpha=0.7, markersize=6, label=label)
        axes.legend(loc="upper left", handletextpad=0.2)
        axes.set_title(f"nets, depth {part[DEPTH].max():g}")
    _identity(axes)


def _identity(axes: Axes) -> None:
    axes.axline((0, 0), slope=1, color=BLACK, linewidth=1.5, zorder=1)
    axes.set_xlabel("predicted change")
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.2, 2.1)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])


def _by_decay(axes: Axes, table: pd.DataFrame) -> None:
    found, labels = _correlations(table), {}
    for (depth, part), colour in zip(each(found, DEPTH), (GREEN, VERMILLION, BLUE, ORANGE), strict=False):
        _, mean = band(axes, part, DECAY, colour, marker="o")
        labels[f"depth {depth:g}"] = (float(mean[-1]), colour)
    axes.axhline(1, color=BLACK, linewidth=1.5, zorder=1)
    axes.set_xlabel("weight decay")
    axes.set_ylabel("correlation")
    axes.set_title("nets, all")
    if len(found):
        log_axis(axes, "x")
        axes.set_xticks(sorted(found[DECAY].unique()))
        axes.minorticks_off()
    axes.set_ylim(min(0, float(found["value"].min()) if len(found) else 0) - 0.05, 1.05)
    label_lines(axes, labels)


def _array(run: pd.Series, probe: str, key: str) -> np.ndarray:
    return np.asarray(Run(str(run["directory"])).array(f"{probe}/{key}")[1][-1], dtype=float)


def _correlations(table: pd.DataFrame) -> pd.DataFrame:
    return last_values(rows(table[table["sweep"] == NET], f"{RETRAINING}/correlation"))


def claims(table: pd.DataFrame) -> list[Claim]:
    """What theory says of convex models, and what retraining nets says."""
    found = _correlations(table)
    return [
        Claim(
            "theory",
            "ridge: a step over $1 − h_{ii}$ is exact (deviation; bound ours)",
            _of(table, RIDGE, lambda v: v["newton_deviation"] / v["scale"]),
            "<=",
            1e-8,
        ),
        Claim(
            KOH,
            "logistic: first order and retraining agree (correlation; bound ours)",
            _of(table, LOGISTIC, lambda v: v["correlation"]),
            ">=",
            0.95,
        ),
        Claim(
            "theory",
            "and a Newton step is nearer (error to that of first order)",
            _of(table, LOGISTIC, lambda v: v["newton_error"] / v["error"]),
            "<=",
            1,
        ),
        Claim(
            "theory",
            "ridge: first order is too small (slope, actual on predicted)",
            _of(table, RIDGE, lambda v: v["slope"]),
            ">=",
            1,
        ),
        Claim(
            KOH,
            "nets of most decay: influences predict (correlation; bound ours)",
            by_seed(found[found[DECAY] == found[DECAY].max()], lambda t: float(t["value"].min())),
            ">=",
            0.8,
        ),
        Claim(
            BASU,
            "less decay spoils it (correlation, most − least decay)",
            by_seed(found, lambda t: _mean_at(t, "max") - _mean_at(t, "min")),
            ">=",
            0,
        ),
        Claim(
            BASU,
            "and so does depth (correlation, shallowest − deepest)",
            by_seed(found, _by_depth),
            ">=",
            0,
        ),
    ]


def _of(table: pd.DataFrame, sweep: str, quantity: Callable[[dict[str, float]], float]) -> tuple[float, ...]:
    """A quantity of each seed's scalars of `influence_check`."""
    part = table[(table["sweep"] == sweep) & table["name"].str.startswith(f"{CHECK}/")]
    short = part.assign(name=part["name"].str.removeprefix(f"{CHECK}/"))
    return by_seed(short, lambda t: quantity(dict(zip(t["name"], t["value"], strict=True))))


def _mean_at(found: pd.DataFrame, which: str) -> float:
    decay = getattr(found[DECAY], which)()
    return float(found[found[DECAY] == decay]["value"].mean())


def _by_depth(found: pd.DataFrame) -> float:
    """ValueError for one depth."""
    means = found.groupby(DEPTH)["value"].mean()
    if len(means) < 2:
        raise ValueError("one depth: nothing to compare")
    return float(means.iloc[0] - means.iloc[-1])
