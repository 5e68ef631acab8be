"""How far one training example moves what SGD learns, beside the bounds for it, and what follows for the gap."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILLION, new_figure, slide
from atml_exp.runs import Run
from atml_exp.stability import (
    Constants,
    brier_constants,
    convex_divergence,
    log_slope,
    logistic_constants,
    nonconvex_bound,
    smooth_divergence,
    strongly_convex_bound,
    strongly_convex_divergence,
)

__all__ = ["claims", "draw"]

CONVEX, STRONG, CURVED, NET, LEFT_OUT = "convex", "strongly convex", "not convex", "net", "leave one out"
PAIRS = (CONVEX, STRONG, CURVED, NET)
PROBE = "algorithmic_stability"
SIZE, RATE, PENALTY, RIDGE = (
    "dataset.wrapper.subset.num_train",
    "optimiser.learning_rate",
    "optimiser.weight_decay",
    "recipe.ridge",
)
PAPER = "Hardt et al. 2016"
ROUNDING = 1e-12


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Above: distances by step, of three kinds of loss. Below: loss differences and the gap; leave-one-out."""
    figure = new_figure(13.333, 7.4)
    (above, below) = figure.subplots(2, 3)
    for axes, sweep in zip(above, (CONVEX, STRONG, CURVED), strict=True):
        _distances(axes, table, sweep)
        axes.set_xlabel("step $t$")
    above[0].set_ylabel("distance $δ_t$")
    _by_size(below[0], table)
    _by_step(below[1], table)
    _left_out(below[2], table)
    return figure


def _of(table: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """One row for each run."""
    return table[table["sweep"] == sweep].drop_duplicates("run_id")


def _array(run: pd.Series, key: str) -> np.ndarray:
    """Of the one time that the probe measured."""
    return Run(str(run["directory"])).array(f"{PROBE}/{key}")[1][-1]


def _middle(runs: pd.DataFrame) -> pd.DataFrame:
    """Those with the middle one of the training sets' sizes."""
    sizes = sorted(runs[SIZE].unique())
    return runs[runs[SIZE] == sizes[len(sizes) // 2]]


def _distances(axes: Axes, table: pd.DataFrame, sweep: str) -> None:
    runs = _middle(_of(table, sweep))
    if not len(runs):
        return
    first = runs.iloc[0]
    path, bound = _array(first, "path"), _divergence(table, first)
    named = sweep == CONVEX
    axes.plot(np.where(path > 0, path, np.nan), color=GREY, linewidth=1.2, label="one pair" if named else None)
    _mean(axes, runs, BLUE, "mean of pairs" if named else "linear model")
    axes.plot(bound, "--", color=BLACK, linewidth=1.8, label="bound" if named else None)
    if sweep == CURVED and len(nets := _middle(_of(table, NET))):
        _mean(axes, nets, VERMILLION, "tanh net")
    axes.set_xlim(0, len(path) - 1)
    axes.set_yscale("log")
    axes.set_ylim(max(bound) * 1e-5, max(bound) * 2)
    axes.set_title(f"{sweep}, $n = {first[SIZE]:g}$")
    if sweep != STRONG:
        axes.legend(loc="lower right")


def _mean(axes: Axes, runs: pd.DataFrame, colour: str, label: str) -> None:
    """Over seeds, with their range, from the first step at which there is something for a logarithm."""
    values = np.stack([_array(run, "mean") for _, run in runs.iterrows()])
    values = np.where(values.max(0) > 0, values, np.nan)
    axes.plot(values.mean(0), color=colour, label=label)
    axes.fill_between(range(values.shape[1]), values.min(0), values.max(0), color=colour, alpha=0.22, linewidth=0)


def _by_size(axes: Axes, table: pd.DataFrame) -> None:
    runs = table[table["sweep"] == CONVEX]
    if not len(runs):
        return
    n, mean = band(axes, _values(runs, "difference"), SIZE, BLUE, marker="o", label="$ε$")
    band(axes, _values(runs, "replacement_gap"), SIZE, ORANGE, marker="o", label="gap, by replacement")
    gaps = _values(runs, "gap").groupby(SIZE)["value"]
    axes.errorbar(n, gaps.mean(), gaps.sem(), fmt="s", color=VERMILLION, label="gap, test − training", capsize=4)
    first = _of(runs, CONVEX).drop_duplicates(SIZE).sort_values(SIZE)
    bound = [_loss_bound(table, run)[-1] for _, run in first.iterrows()]
    axes.plot(first[SIZE], bound, "--", color=BLACK, linewidth=1.8)
    axes.set_yscale("log")
    axes.set_ylim(mean.min() / 20, 3 * max(bound))
    log_axis(axes, "x")
    axes.set_xticks(n)
    axes.set_xlabel("training examples $n$")
    axes.set_ylabel("loss")
    axes.set_title(f"convex, $T = {_steps(first.iloc[0]):g}$")


def _by_step(axes: Axes, table: pd.DataFrame) -> None:
    runs = _middle(_of(table, CONVEX))
    if not len(runs):
        return
    first = runs.iloc[0]
    at = _array(first, "at").astype(int)
    shown = at > 0
    bound = _loss_bound(table, first)[at][shown]
    axes.plot(at[shown], bound, "--", color=BLACK, linewidth=1.8, label="bound on $ε$")
    for key, colour, label in (
        ("differences", BLUE, "$ε$"),
        ("gaps", VERMILLION, "gap, test − training"),
        ("replacement_gaps", ORANGE, "gap, by replacement"),
    ):
        values = np.stack([_array(run, key) for _, run in runs.iterrows()]).mean(0)
        axes.plot(at[shown], values[shown], "s" if key == "gaps" else "o-", color=colour, label=label)
    axes.set_xlim(0, None)
    axes.set_yscale("log")
    axes.set_ylim(max(bound) * 1e-6, max(bound) * 2)
    axes.legend(loc="lower right")
    axes.set_xlabel("steps $T$")
    axes.set_title(f"convex, $n = {first[SIZE]:g}$")


def _left_out(axes: Axes, table: pd.DataFrame) -> None:
    runs = table[table["sweep"] == LEFT_OUT]
    if not len(runs):
        return
    for name, colour, label in (
        ("test/loss", VERMILLION, "test"),
        ("leave_one_out/risk", BLUE, "leave-one-out"),
        ("leave_one_out/train_risk", GREY, "training"),
    ):
        band(axes, rows(runs, name), RIDGE, colour, label=label)
    again = rows(runs, "leave_one_out/retrained_risk").groupby(RIDGE)["value"].mean()
    axes.plot(again.index, again, "x", color=BLACK, label="$n$ trainings", zorder=3)
    log_axis(axes, "x")
    axes.set_ylim(0, 2.05 * again.max())
    axes.set_xlabel("ridge penalty")
    axes.set_ylabel("risk")
    axes.set_title("ridge regression")
    axes.legend(loc="upper left")


def _values(runs: pd.DataFrame, key: str) -> pd.DataFrame:
    return rows(runs, f"{PROBE}/{key}")


def _steps(run: pd.Series) -> int:
    return len(_array(run, "learning_rate"))


def _constants(table: pd.DataFrame, run: pd.Series) -> Constants:
    """L and β of the loss without a penalty, on all of S and the test split. ValueError where they aren't known."""
    of = {"logistic": logistic_constants, "brier": brier_constants}
    if run["loss"] not in of:
        raise ValueError(f"loss = {run['loss']}: its constants aren't known; allowed: {', '.join(of)}")
    found = _values(table[table["run_id"] == run["run_id"]], "radius")["value"]
    return of[run["loss"]](float(found.iloc[-1]))


def _divergence(table: pd.DataFrame, run: pd.Series) -> np.ndarray:
    """The bound on E δ_t. ValueError where steps are too large for it."""
    (lipschitz, smoothness), rates, n = _constants(table, run), _array(run, "learning_rate"), int(run[SIZE])
    if run["sweep"] == CURVED:
        return smooth_divergence(rates, lipschitz, smoothness, n)
    gamma = float(run[PENALTY])
    largest = 2 / smoothness if run["sweep"] == CONVEX else 1 / (smoothness + gamma)
    if not rates.max(initial=0) <= largest or run["loss"] != "logistic":
        raise ValueError(
            f"a step size of {rates.max():g} with loss = {run['loss']}: allowed: logistic, {largest:g}"
        )
    if run["sweep"] == CONVEX:
        return convex_divergence(rates, lipschitz, n)
    return strongly_convex_divergence(rates, lipschitz, gamma, n)


def _loss_bound(table: pd.DataFrame, run: pd.Series) -> np.ndarray:
    """On ε after each number of steps."""
    (lipschitz, smoothness), n = _constants(table, run), int(run[SIZE])
    if run["sweep"] != CURVED:
        return lipschitz * _divergence(table, run)
    rates = _array(run, "learning_rate")
    t = np.arange(1, len(rates) + 1)
    return np.append(0.0, nonconvex_bound(t, float((rates * t).max()), lipschitz, smoothness, n))


def claims(table: pd.DataFrame) -> list[Claim]:
    """The bounds after T steps, at each size; what moves a pair apart; the gap; leave-one-out."""
    convex = table[table["sweep"] == CONVEX]
    return [
        Claim(
            PAPER,
            "convex: $E δ_T ≤ (2L/n) Σ η$ at every $n$ (largest quotient)",
            by_seed(convex, lambda t: _largest(t, CONVEX, _distance_quotient)),
            "<=",
            1,
        ),
        Claim(
            PAPER,
            "strongly convex: $ε ≤ 2L^2/(γn)$ at every $n$ (largest quotient)",
            by_seed(table[table["sweep"] == STRONG], lambda t: _largest(t, STRONG, _strong_quotient)),
            "<=",
            1,
        ),
        Claim(
            PAPER,
            "not convex, $η_t = c/t$: ε at most their Theorem 3.12 at every $n$ (largest quotient)",
            by_seed(table[table["sweep"] == CURVED], lambda t: _largest(t, CURVED, _loss_quotient)),
            "<=",
            1,
        ),
        Claim(
            PAPER,
            "in all pairs, nets too, $δ = 0$ until the example is drawn (largest δ)",
            by_seed(table[table["sweep"].isin(PAIRS)], lambda t: _maximum(t, "before_draw")),
            "<=",
            0,
        ),
        Claim(
            PAPER,
            "convex: no other step moves a pair apart (largest growth; bound ours, rounding)",
            by_seed(convex, lambda t: _maximum(t, "growth_undrawn")),
            "<=",
            ROUNDING,
        ),
        Claim(
            PAPER,
            "and one that draws it by at most $2ηL/B$ (largest quotient)",
            by_seed(convex, lambda t: _largest(t, CONVEX, _growth_quotient)),
            "<=",
            1,
        ),
        Claim(
            PAPER,
            "convex: the gap, test − training, is at most ε (of means over seeds, largest quotient)",
            (_attempted(convex, _gap_quotient),),
            "<=",
            1,
        ),
        Claim(
            "Bousquet & Elisseeff 2002",
            "and equals the swapped example's loss, unseen − seen (largest difference in s.e.)",
            (_attempted(convex, _gap_deviation),),
            "<=",
            4,
        ),
        Claim(
            PAPER,
            "convex: $E δ_T$ falls as $1/n$ (|slope + 1| of the logarithms; bound ours)",
            by_seed(convex, _slope_deviation),
            "<=",
            0.2,
        ),
        Claim(
            "Allen 1974",
            "ridge: $r_i/(1 − h_{ii})$, as $n$ trainings give (deviation; bound ours)",
            by_seed(
                table[table["sweep"] == LEFT_OUT],
                lambda t: float(rows(t, "leave_one_out/deviation")["value"].max()),
            ),
            "<=",
            1e-9,
        ),
    ]


def _largest(table: pd.DataFrame, sweep: str, quotient: Callable[[pd.DataFrame, pd.Series], float]) -> float:
    """Over runs; ValueError without any."""
    return max(quotient(table, run) for _, run in _of(table, sweep).iterrows())


def _maximum(table: pd.DataFrame, key: str) -> float:
    return float(_values(table, key)["value"].max())


def _distance_quotient(table: pd.DataFrame, run: pd.Series) -> float:
    return float(_array(run, "mean")[-1] / _divergence(table, run)[-1])


def _loss_quotient(table: pd.DataFrame, run: pd.Series) -> float:
    return float(_array(run, "differences")[-1] / _loss_bound(table, run)[-1])


def _strong_quotient(table: pd.DataFrame, run: pd.Series) -> float:
    _divergence(table, run)  # refuses what the theorem isn't about
    limit = strongly_convex_bound(_constants(table, run).lipschitz, float(run[PENALTY]), int(run[SIZE]))
    return float(_array(run, "differences")[-1] / limit)


def _growth_quotient(table: pd.DataFrame, run: pd.Series) -> float:
    of_run = table[table["run_id"] == run["run_id"]]
    return _maximum(of_run, "growth_drawn") / (2 * _constants(table, run).lipschitz)


def _gap_quotient(runs: pd.DataFrame) -> float:
    gap, difference = (_values(runs, key).groupby(SIZE)["value"].mean() for key in ("gap", "difference"))
    return float((gap.abs() / difference).max())


def _gap_deviation(runs: pd.DataFrame) -> float:
    gap, replaced = (_values(runs, key).set_index([SIZE, "seed"])["value"] for key in ("gap", "replacement_gap"))
    apart = (gap - replaced).groupby(level=0)
    return float((apart.mean().abs() / apart.sem()).max())


def _slope_deviation(runs: pd.DataFrame) -> float:
    found = _values(runs, "divergence")
    return abs(log_slope(found[SIZE], found["value"]) + 1)


def _attempted(runs: pd.DataFrame, quantity: Callable[[pd.DataFrame], float]) -> float:
    """NaN without runs."""
    return quantity(runs) if len(runs) else float("nan")
