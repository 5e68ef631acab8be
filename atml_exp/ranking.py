"""Does a measure rank trained models as their generalisation does? Rank correlations over grids of settings.

Needs no torch: tables with a row for each trained model, its hyperparameters, seed, measures and target in columns.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

__all__ = [
    "GranulatedKendall",
    "Interval",
    "bootstrap_interval",
    "granulated_kendall",
    "kendall_tau",
    "partial_correlation",
]


def kendall_tau(x: ArrayLike, y: ArrayLike, variant: Literal["a", "b"] = "a") -> float:
    """Kendall's τ of two sequences (n,): the mean of sign(x_i − x_j)·sign(y_i − y_j) over ordered pairs i ≠ j.

    variant: `a`, that mean, in which ties count as 0, so that a constant sequence gives 0; `b` divides by the
    square roots of the shares of pairs that aren't tied (scipy's default), NaN for a constant sequence.
    Raises ValueError for lengths that differ, fewer than two entries, or NaN; infinities have a rank.

    >>> kendall_tau([1, 2, 3], [1, 3, 2]), kendall_tau([1, 1, 2], [1, 2, 3]), kendall_tau([1, 1, 1], [1, 2, 3])
    (0.3333333333333333, 0.6666666666666666, 0.0)
    """
    a, b = np.asarray(x, float), np.asarray(y, float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"x and y must be of one length, at least 2; got the shapes {a.shape} and {b.shape}")
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("x and y hold NaN, which has no rank: take out runs that diverged")
    first, second = _signs(a), _signs(b)
    together = float((first * second).sum())
    if variant == "a":
        return together / (len(a) * (len(a) - 1))
    untied = float(np.abs(first).sum()) * float(np.abs(second).sum())
    return together / math.sqrt(untied) if untied else math.nan


def _signs(x: np.ndarray) -> np.ndarray:
    """sign(x_i − x_j), (n, n); of two infinities 0, where their difference is NaN."""
    above = np.greater.outer(x, x).astype(np.int64)
    return above - above.T


@dataclass(frozen=True, eq=False)
class GranulatedKendall:
    """overall: Ψ, the mean of ψ over the axes. by_axis: ψ of each. cells: over how many cells each ψ is a mean."""

    overall: float
    by_axis: Mapping[str, float]
    cells: Mapping[str, int]


def granulated_kendall(
    table: pd.DataFrame, measure: str, target: str, axes: Sequence[str], *, seeds: str | None = "seed"
) -> GranulatedKendall:
    """The granulated Kendall coefficient of a measure against a target over a grid of hyperparameters.

    ψ_i is the mean, over the cells in which all other axes are fixed, of Kendall's τ-a between measure and target
    as axis i alone varies: 1/(k(k−1)) Σ over ordered pairs of sign(Δmeasure)·sign(Δtarget), k the models of the
    cell. Ψ is the mean of ψ_i. A measure that merely follows one hyperparameter scores on that axis only, whereas a
    plain τ over all models may be high through it (Jiang, Neyshabur, Mobahi, Krishnan & Bengio 2020, Fantastic
    generalization measures and where to find them, §2.2). Ties, of a constant measure for instance, count as 0.

    table: a row for each model. axes: columns of hyperparameters, numbers or text; their order means nothing.
    seeds: the column, where the table has it, that is held fixed like any other axis but gets no ψ, so that models
    of different seeds are never compared and each seed makes cells of its own; None where there are no seeds. Named
    among the axes it is one of them. A cell that is left with a single model, since others diverged, doesn't count.

    Raises ValueError for a column that is missing or holds text, NaN or infinity where numbers are needed, an axis
    with one value or none that can be compared, and two models in one place of the grid.

    >>> grid = pd.DataFrame([(a, b, a + 10 * b, b) for a in range(3) for b in range(4)], columns=list("abyx"))
    >>> found = granulated_kendall(grid, "x", "y", ["a", "b"])
    >>> found.overall, found.by_axis, found.cells
    (0.5, {'a': 0.0, 'b': 1.0}, {'a': 4, 'b': 3})
    """
    fixed = _places(table, axes, seeds)
    x, y = _numbers(table, measure), _numbers(table, target)
    taus = {axis: _along(table, x, y, [c for c in fixed if c != axis]) for axis in axes}
    if alone := [axis for axis, found in taus.items() if not found]:
        raise ValueError(f"axis {alone[0]!r}: no two models differ in it alone, so nothing can be compared")
    by_axis = {axis: float(np.mean(found)) for axis, found in taus.items()}
    return GranulatedKendall(
        float(np.mean(list(by_axis.values()))), by_axis, {axis: len(found) for axis, found in taus.items()}
    )


def _along(table: pd.DataFrame, x: np.ndarray, y: np.ndarray, fixed: list[str]) -> list[float]:
    """τ-a within each set of rows that agree in the fixed columns and number at least two."""
    cells = table.groupby(fixed, observed=True).indices.values() if fixed else [np.arange(len(table))]
    return [kendall_tau(x[rows], y[rows]) for rows in cells if len(rows) > 1]


def _places(table: pd.DataFrame, axes: Sequence[str], seeds: str | None) -> list[str]:
    """The columns that say where in the grid a row stands, all of them sound."""
    if isinstance(axes, str) or not len(axes) or len(set(axes)) < len(axes):
        raise ValueError(f"axes must be a list of different columns; got {axes!r}")
    for axis in axes:
        if _column(table, axis).isna().any():
            raise ValueError(f"axis {axis!r} holds NaN: each model needs a value")
        if table[axis].nunique() < 2:
            raise ValueError(f"axis {axis!r} has one value, {table[axis].iloc[0]}: nothing varies along it")
    columns = [*axes, *([seeds] if seeds is not None and seeds in table and seeds not in axes else [])]
    twice = table.duplicated(columns)
    if twice.any():
        place = ", ".join(f"{c} = {table.loc[twice, c].iloc[0]}" for c in columns)
        raise ValueError(
            f"several models with {place}: name what tells them apart among the axes or as seeds=…, or average them"
        )
    return columns


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table:
        near = get_close_matches(name, map(str, table.columns), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(map(str, table.columns))}"
        raise ValueError(f"the table has no column {name!r}; {hint}")
    if not len(table):
        raise ValueError("the table holds no row: a row for each trained model is needed")
    return table[name]


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    column = _column(table, name)
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(f"column {name!r} holds {column.dtype}: a measure or target must be a number")
    values = column.to_numpy(float)
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"column {name!r} isn't finite in {bad} of {len(values)} rows: leave those models out "
            f"(table[np.isfinite(table[{name!r}])])"
        )
    return values


def partial_correlation(
    table: pd.DataFrame,
    measure: str,
    target: str,
    given: Sequence[str],
    *,
    method: Literal["spearman", "pearson"] = "spearman",
) -> float:
    """The correlation of measure and target that is left when the hyperparameters' main effects are taken out.

    Both are regressed by least squares on an intercept and one indicator for each value of each column in `given`
    (so no linear shape is assumed; interactions stay in, unless one column names the combinations); the result is
    Pearson's correlation of the residuals. `spearman`: of the ranks over the whole table, ties at their mean;
    `pearson`: of the values. 0 where nothing of one of them is left: the hyperparameters then explain it wholly. No
    `given`: the plain correlation.

    Raises ValueError as `granulated_kendall` does for columns, and where there are no more rows than indicators.

    >>> t = pd.DataFrame({"h": [0, 0, 0, 1, 1, 1], "x": [1, 2, 3, 7, 8, 9], "y": [9, 8, 7, 30, 20, 10]})
    >>> round(partial_correlation(t, "x", "y", []), 2), round(partial_correlation(t, "x", "y", ["h"]), 2)
    (0.54, -1.0)
    """
    columns = [np.ones(len(table))]
    for name in given:
        codes, values = pd.factorize(_column(table, name), use_na_sentinel=False)
        columns += [(codes == i).astype(float) for i in range(1, len(values))]
    design = np.stack(columns, 1)
    if len(design) <= design.shape[1]:
        raise ValueError(f"{len(design)} models and {design.shape[1]} effects of {list(given)}: nothing is left")
    a, b = (_left(design, _numbers(table, name), method) for name in (measure, target))
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale else 0.0


def _left(design: np.ndarray, values: np.ndarray, method: str) -> np.ndarray:
    """The residuals, exactly 0 where they are rounding."""
    y = rankdata(values) if method == "spearman" else values
    y = y - y.mean()
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return residual if np.linalg.norm(residual) > 1e-10 * np.linalg.norm(y) else np.zeros_like(y)


class Interval(NamedTuple):
    """low ≤ high, of a given confidence."""

    low: float
    high: float


def bootstrap_interval(
    table: pd.DataFrame,
    statistic: Callable[[pd.DataFrame], float],
    *,
    seeds: str = "seed",
    confidence: float = 0.95,
    num_samples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic of a table, its seeds drawn anew with replacement.

    All rows of a seed stay together, since models that share initialisation and data order aren't independent; a
    seed that is drawn twice counts as two seeds. The statistic must not depend on the seeds' numbers or order. It
    is computed once for each set of seeds that comes up: of S seeds there are at most C(2S−1, S), 126 for five.
    Says what other seeds would change, not other hyperparameters; with few seeds it is too narrow (Efron &
    Tibshirani 1993, An introduction to the bootstrap, §13.3). seed: of the draws, which are the same for each call.

    Raises ValueError for fewer than two seeds or a confidence outside (0, 1).

    >>> table = pd.DataFrame({"seed": [0, 1, 2, 3], "value": [1.0, 2.0, 3.0, 4.0]})
    >>> bootstrap_interval(table, lambda rows: rows["value"].mean())
    Interval(low=1.5, high=3.5)
    """
    if not 0 < confidence < 1 or num_samples < 1:
        raise ValueError(f"confidence must be in (0, 1) and num_samples positive; got {confidence}, {num_samples}")
    parts = [rows for _, rows in table.groupby(_column(table, seeds), observed=True)]
    if len(parts) < 2:
        raise ValueError(f"the table holds {len(parts)} value of {seeds!r}: at least 2 are needed to draw from")
    draws = np.sort(np.random.default_rng(seed).integers(len(parts), size=(num_samples, len(parts))), 1)
    different, which = np.unique(draws, axis=0, return_inverse=True)
    values = np.array([statistic(_drawn(parts, draw, seeds)) for draw in different])[which.ravel()]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _drawn(parts: Sequence[pd.DataFrame], draw: Sequence[int], seeds: str) -> pd.DataFrame:
    return pd.concat([parts[i].assign(**{seeds: n}) for n, i in enumerate(draw)], ignore_index=True)
