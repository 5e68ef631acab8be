"""A neighbouring training set: one example is another."""

from dataclasses import replace

import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegativeInt

__all__ = ["swapped_example"]


def swapped_example(data: Dataset, seed: int, *, index: NonNegativeInt = 0, donor: NonNegativeInt = 0) -> Dataset:
    """Training example `index` becomes a copy of test example `donor`: input, label and group.

    The neighbouring data set of algorithmic stability (Bousquet & Elisseeff 2002; Hardt, Recht & Singer 2016):
    an independent draw from the same distribution in place of one example. The test split stays the same object,
    donor included, so that both runs are judged by the same examples (leave the donor out where one must not be
    trained on). Nothing is random: `seed` is not used. Raises ConfigError where an example doesn't exist.
    """
    _require_example(data.train, "index", index, f"{data.name}'s training split")
    _require_example(data.test, "donor", donor, f"{data.name}'s test split")
    train, test = data.train, data.test
    group = train.group
    if group is not None:
        if test.group is None:
            raise ConfigError(
                f"dataset wrapper swapped_example: {data.name} has groups for training only; the donor has none"
            )
        group = _replaced(group, index, test.group[donor])
    clean = data.clean_labels
    if clean is not None:
        clean = _replaced(clean, index, test.y[donor])
    x, y = _replaced(train.x, index, test.x[donor]), _replaced(train.y, index, test.y[donor])
    return replace(data, train=replace(train, x=x, y=y, group=group), clean_labels=clean)


def _require_example(split: Split, key: str, value: int, where: str) -> None:
    if value >= len(split):
        raise ConfigError(
            f"dataset wrapper swapped_example: {key}={value}, and {where} has {len(split)} examples: "
            f"0 … {len(split) - 1}"
        )


def _replaced(values: Tensor, index: int, value: Tensor) -> Tensor:
    return values.index_copy(0, torch.tensor([index], device=values.device), value[None])
