"""Whether data can be learnt from, found before any training: what makes numbers meaningless is refused, what makes
them doubtful is said.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError

__all__ = ["check_sound", "doubts"]


def check_sound(data: Dataset) -> None:
    """ConfigError, with the split, how many and the first index, for an empty split, inputs, targets or weights
    that aren't finite, and labels outside 0 … C−1. Costs one pass over the data.
    """
    for name, split in (("train", data.train), ("test", data.test)):
        where = f"dataset = {data.name}: the {name} split"
        if len(split) == 0:
            raise ConfigError(f"{where} is empty; allowed: at least one example")
        for what, values in (("inputs", split.x), ("targets", split.y), ("weights", split.weight)):
            if values is not None and not _all_finite(values):
                raise ConfigError(f"{where} has {what} that aren't finite, {_which(~_finite_rows(values))}")
        _check_labels(where, split, data.num_classes)


def _check_labels(where: str, split: Split, num_classes: int | None) -> None:
    if num_classes is None:
        return
    if split.y.is_floating_point():
        raise ConfigError(f"{where} has labels of type {split.y.dtype}; allowed: whole numbers (int64)")
    outside = (split.y < 0) | (split.y >= num_classes)
    if bool(outside.any()):
        first = split.y[outside][0].item()
        raise ConfigError(
            f"{where} has labels outside 0 … {num_classes - 1}, {_which(outside)} (there it is {first})"
        )


def _all_finite(values: Tensor) -> bool:
    """One pass without a copy: a sum of finite numbers is finite, unless it overflows: then each is looked at."""
    if not values.is_floating_point() or values.numel() == 0 or bool(values.sum().isfinite()):
        return True
    return bool(values.isfinite().all())


def _finite_rows(values: Tensor) -> Tensor:
    return values.isfinite().flatten(1).all(1) if values.dim() > 1 else values.isfinite()


def _which(rows: Tensor) -> str:
    return f"in {int(rows.sum())} of {len(rows)} examples, first at index {int(rows.nonzero()[0, 0])}"


def doubts(data: Dataset) -> list[str]:
    """What to know before numbers are believed, a sentence each: features of a table that never change, examples of
    the test split that were trained on, equal inputs under different labels.

    Constant pixels are none: the margins of nearly every image dataset are empty.
    """
    if data.train.x[0].numel() == 0:  # an objective function, without inputs
        return []
    return [*_constant(data), *_repeated(data)]


def _constant(data: Dataset) -> Iterator[str]:
    x = data.train.x
    if x.dim() != 2 or len(x) < 2:
        return
    number = int((x == x[0]).all(0).sum())
    if number:
        yield (
            f"{number} of {x.shape[1]} features have one value in all of the training split: "
            "nothing is learnt of them"
        )


def _repeated(data: Dataset) -> Iterator[str]:
    train = _rows(data.train.x)
    if not _is_one_split(data):
        known = set(train)
        number = sum(row in known for row in _rows(data.test.x))
        if number:
            share = 100 * number / len(data.test)
            yield (
                f"{number} of {len(data.test)} test examples ({share:.3g} %) have the inputs of a training "
                "example: on them, memorising looks like generalising"
            )
    if data.num_classes is not None and data.clean_labels is None:
        labels = Counter(row for row, _ in set(zip(train, data.train.y.tolist(), strict=True)))
        number = sum(labels[row] > 1 for row in train)
        if number:
            yield (
                f"{number} of {len(train)} training examples have the inputs of another one with another label: "
                "no model fits them all"
            )


def _is_one_split(data: Dataset) -> bool:
    """Whether the test split is the training split by design, as of objective functions."""
    return data.train.x.shape == data.test.x.shape and torch.equal(data.train.x, data.test.x)


def _rows(x: Tensor) -> list[int]:
    """A number for each row; equal rows have equal ones (a hash of 64 bits, so others nearly never)."""
    flat = np.ascontiguousarray(x.detach().flatten(1).cpu().numpy())
    return [hash(row.tobytes()) for row in flat + 0.0]  # −0 is 0
