"""Groups of examples by one of their features."""

from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.errors import ConfigError
from atml_exp.fields import Finite, NonNegativeInt

__all__ = ["group_column"]


def group_column(
    data: Dataset,
    seed: int,
    *,
    column: NonNegativeInt = 0,
    threshold: Finite | None = None,
    groups: Annotated[int, Interval(ge=2, le=32)] = 2,
    drop: bool = False,
) -> Dataset:
    """`Split.group` from feature `column` of a table, x (N, D): how many of the cuts lie below its value.

    threshold: one cut, in the units of x (the stored tables are standardised: 0 is the training split's mean), and
    two groups. null: the cuts are the training split's quantiles i/`groups`, so that groups are about equally large
    where values are distinct. drop: the feature is taken from the inputs, of both splits. Groups are named by their
    range. Nothing is random: `seed` is not used.
    Raises ConfigError where there is no such column, where x isn't a table, and where a group is left empty in the
    training split.
    """
    if len(data.input_shape) != 1 or column >= data.input_shape[0]:
        raise ConfigError(
            f"dataset wrapper group_column: column={column}, and the inputs of {data.name} have the shape "
            f"{data.input_shape}: a column below its one number"
        )
    if drop and data.input_shape[0] == 1:
        raise ConfigError(f"dataset wrapper group_column: drop=true leaves {data.name} without an input")
    cuts = _cuts(data.train.x[:, column], threshold, groups)
    kept = [i for i in range(data.input_shape[0]) if not (drop and i == column)]

    def grouped(x: Tensor) -> Tensor:
        return torch.bucketize(x[:, column].contiguous(), cuts)

    counts = grouped(data.train.x).bincount(minlength=len(cuts) + 1)
    if bool((counts == 0).any()):
        raise ConfigError(
            f"dataset wrapper group_column: cuts at {_text(cuts)} of column {column} give groups of "
            f"{counts.tolist()} training examples: none may be empty"
        )
    train, test = (replace(s, x=s.x[:, kept], group=grouped(s.x)) for s in (data.train, data.test))
    return replace(data, train=train, test=test, group_names=_names(column, cuts))


def _cuts(values: Tensor, threshold: float | None, groups: int) -> Tensor:
    if threshold is not None:
        return torch.tensor([threshold], dtype=values.dtype, device=values.device)
    levels = torch.arange(1, groups, dtype=torch.float64, device=values.device) / groups
    return values.double().quantile(levels).to(values.dtype)


def _text(cuts: Tensor) -> list[float]:
    return [round(cut, 3) for cut in cuts.tolist()]


def _names(column: int, cuts: Tensor) -> tuple[str, ...]:
    """
    >>> _names(3, torch.tensor([0.0, 1.5]))
    ('x3 ≤ 0', '0 < x3 ≤ 1.5', 'x3 > 1.5')
    """
    at = [f"{cut:.3g}" for cut in cuts.tolist()]
    between = [f"{low} < x{column} ≤ {high}" for low, high in pairwise(at)]
    return (f"x{column} ≤ {at[0]}", *between, f"x{column} > {at[-1]}")
