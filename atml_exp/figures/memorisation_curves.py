"""What a net memorises: wrong labels after right ones, who was trained on, and which examples' own labels."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, new_figure, slide
from atml_exp.memorisation import Scores, memorisation
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

WRONG, RIGHT, SCORES = "wrong labels", "right labels", "scores"
YEOM, FELDMAN, ARPIT = "Yeom et al. 2018", "Feldman & Zhang 2020", "Arpit et al. 2017"
LEARNT = 0.9
"""Of the right labels: when they count as learnt."""


class _Pool(NamedTuple):
    """scores (N,), whether each label is wrong (N,), and the gap of accuracies of those in and out."""

    scores: Scores
    wrong: np.ndarray
    gap: float


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Labels fitted by epoch; an attacker's advantage by the generalisation gap; scores of single examples."""
    figure = new_figure(13.333, 4.6)
    fitted, attack, scores = figure.subplots(1, 3)
    _fitted(fitted, _part(table, WRONG))
    _attack(attack, table)
    _scores(scores, _part(table, SCORES))
    return figure


def _part(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return table[table["sweep"] == sweep]


def _fitted(axes: Axes, part: pd.DataFrame) -> None:
    lines = (("right_fitted", BLUE, "right labels"), ("wrong_fitted", VERMILLION, "wrong labels"))
    for key, colour, label in (*lines, ("wrong_restored", GREEN, "true class instead")):
        band(axes, rows(part, f"label_fit/{key}"), "epoch", colour, scale=100, label=label)
    axes.set_xlabel("epoch")
    axes.set_title("training examples answered so (%)", fontsize=17)
    axes.set_ylim(0, 103)
    axes.set_xlim(0, None)
    axes.legend(loc="center right", fontsize=14)


def _attack(axes: Axes, table: pd.DataFrame) -> None:
    largest = 0.0
    for sweep, marker in ((WRONG, "o"), (RIGHT, "^")):
        gap = _by_epoch(table, sweep, "gap")
        for key, colour, label in (
            ("advantage", BLUE, "best threshold"),
            ("mean_loss_advantage", ORANGE, "mean loss"),
        ):
            found = _by_epoch(table, sweep, key)
            at = gap.reindex(found.index)
            face = colour if sweep == WRONG else "none"
            name = f"{label}, {sweep}"
            axes.plot(100 * at, 100 * found, marker, color=colour, markersize=6, markerfacecolor=face, label=name)
        largest = max(largest, *(100 * gap), 1.0)
    axes.plot([0, largest], [0, largest], color=BLACK, linewidth=1.8, zorder=1, label="sees right or wrong alone")
    axes.set_xlabel("test − training error (%)")
    axes.set_title("attacker's advantage (%)", fontsize=17)
    axes.set_ylim(None, 1.55 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", fontsize=13)


def _by_epoch(table: pd.DataFrame, sweep: str, key: str) -> pd.Series:
    """Of each epoch, the mean over seeds."""
    return _membership(_part(table, sweep), key).groupby("epoch")["value"].mean()


def _membership(part: pd.DataFrame, key: str) -> pd.DataFrame:
    """A row for each run and epoch; `gap`: test error − training error, as the run measured them itself."""
    if key != "gap":
        return rows(part, f"membership/{key}")
    train, test = rows(part, "train/error"), rows(part, "test/error")
    both = test.merge(train[["run_id", "step", "value"]], on=["run_id", "step"], suffixes=("", "_train"))
    return both.assign(value=both["value"] - both["value_train"])


def _scores(axes: Axes, part: pd.DataFrame) -> None:
    pool = _pool(part)
    axes.set_xlabel("memorisation score")
    axes.set_title("share of examples (%)", fontsize=17)
    if pool is None:
        return
    edges = np.linspace(-0.4, 1.0, 29)
    axes.set_xlim(-0.2, 1.02)
    for wrong, colour, label in ((False, BLUE, "right labels"), (True, VERMILLION, "wrong labels")):
        values = pool.scores.values[pool.wrong == wrong]
        share = np.full(len(values), 100 / max(len(values), 1))
        axes.hist(values, list(edges), weights=share, color=colour, alpha=0.6, label=label)
    error = float(np.median(pool.scores.standard_errors))
    middle = 0.5 * axes.get_ylim()[1]
    axes.errorbar(0.45, middle, xerr=error, color=GREY, capsize=4, linewidth=2)
    axes.text(0.45, 1.06 * middle, "median s.e.", color=GREY, ha="center", fontsize=13)
    axes.legend(loc="upper center", fontsize=14)


def _pool(part: pd.DataFrame) -> _Pool | None:
    """Of all runs together; None where there are too few for each example to be in, and out, twice."""
    runs = [Run(Path(str(d))) for d in part.drop_duplicates("run_id")["directory"]] if len(part) else []
    if not runs:
        return None
    correct, included, changed = (
        np.stack([run.array(f"inclusion/{key}")[1][-1] for run in runs])
        for key in ("correct", "included", "changed")
    )
    try:
        scores = memorisation(correct, included)
    except ValueError:
        return None
    means = [
        last_values(rows(part, f"inclusion/accuracy_{key}"))["value"].mean() for key in ("included", "left_out")
    ]
    return _Pool(scores, changed[0] == 1, float(means[0] - means[1]))


def claims(table: pd.DataFrame) -> list[Claim]:
    """The order in which labels are learnt, what the loss gives away, scores of wrong labels."""
    wrong, both = _part(table, WRONG), table[table["sweep"].isin([WRONG, RIGHT])]
    pool = _pool(_part(table, SCORES))
    few = "too few trainings for every example to be in, and out, twice"
    of_pool: Callable[[Callable[[_Pool], float]], tuple[float, ...]] = lambda f: (  # noqa: E731
        (float("nan") if pool is None else f(pool)),
    )
    return [
        Claim(
            ARPIT,
            "wrong labels fitted by when 90 % of the right ones are (bound ours)",
            by_seed(wrong, lambda t: 100 * _when_learnt(t)),
            "<=",
            50,
            "%",
        ),
        Claim(
            ARPIT,
            "before, they are answered with the true class (most; bound ours)",
            by_seed(rows(wrong, "label_fit/wrong_restored"), lambda t: 100 * float(t["value"].max())),
            ">=",
            80,
            "%",
        ),
        Claim(
            YEOM,
            "loss seen, best threshold: advantage less gap (least of all epochs)",
            by_seed(both, lambda t: 100 * float(_beyond_gap(t, "advantage").min())),
            ">=",
            0,
            "%",
        ),
        Claim(
            "ours",
            "threshold = mean training loss: the same at the end (lesser sweep)",
            by_seed(both, lambda t: 100 * float(_at_the_end(_beyond_gap(t, "mean_loss_advantage")).min())),
            ">=",
            0,
            "%",
        ),
        Claim(
            YEOM,
            "members are told better where labels are wrong (AUC, difference)",
            by_seed(both, lambda t: _last_auc(t, WRONG) - _last_auc(t, RIGHT)),
            ">=",
            0,
        ),
        Claim(
            FELDMAN,
            "wrong labels are learnt by heart (median score; bound ours)",
            of_pool(lambda p: float(np.median(p.scores.values[p.wrong]))),
            ">=",
            0.5,
            reason=few,
        ),
        Claim(
            FELDMAN,
            "right ones from one another (median score; bound ours)",
            of_pool(lambda p: float(np.median(p.scores.values[~p.wrong]))),
            "<=",
            0.1,
            reason=few,
        ),
        Claim(
            FELDMAN,
            "the mean score is the generalisation gap (difference; bound ours)",
            of_pool(lambda p: 100 * abs(float(p.scores.values.mean()) - p.gap)),
            "<=",
            1,
            "%",
            reason=few,
        ),
    ]


def _when_learnt(runs: pd.DataFrame) -> float:
    """Share of wrong labels fitted at the first epoch at which LEARNT of the right ones are."""
    right, wrong = (
        rows(runs, f"label_fit/{key}").sort_values("step").set_index("step")["value"]
        for key in ("right_fitted", "wrong_fitted")
    )
    return float(wrong.loc[right.index[right >= LEARNT][0]])


def _beyond_gap(runs: pd.DataFrame, key: str) -> pd.Series:
    """An advantage less the gap of the same run at the same step."""
    found = _membership(runs, key).set_index(["run_id", "step"])["value"]
    return (found - _membership(runs, "gap").set_index(["run_id", "step"])["value"]).dropna()


def _at_the_end(values: pd.Series) -> pd.Series:
    """Of each run."""
    return values.sort_index().groupby("run_id", observed=True).last()


def _last_auc(runs: pd.DataFrame, sweep: str) -> float:
    return float(last_values(rows(_part(runs, sweep), "membership/auc"))["value"].iloc[0])
