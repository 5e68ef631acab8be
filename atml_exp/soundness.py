"""Whether data can be learnt from, found before any training: what makes numbers meaningless is refused, what makes
them doubtful is said.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError

__all__ = ["check_kind", "check_sound", "doubts"]


def check_sound(data: Dataset) -> None:
    """ConfigError, with the split, how many and the first index, for what `check_kind` refuses, inputs that aren't
    floating, an empty split, inputs, targets or weights that aren't finite, and labels outside 0 … C−1. Costs one
    pass over the data.
    """
    check_kind(data)
    for name, split in (("train", data.train), ("test", data.test)):
        where = f"dataset = {data.name}: the {name} split"
        if not split.x.is_floating_point():
            raise ConfigError(f"{where} has inputs of type {split.x.dtype}; allowed: floating numbers")
        if len(split) == 0:
            raise ConfigError(f"{where} is empty; allowed: at least one example")
        for what, values in (("inputs", split.x), ("targets", split.y), ("weights", split.weight)):
            if values is not None and not _all_finite(values):
                raise ConfigError(f"{where} has {what} that aren't finite, {_which(~_finite_rows(values))}")
        _check_labels(where, split, data.num_classes)


def check_kind(data: Any) -> None:
    """ConfigError where types and shapes aren't those of a `Dataset`: its parts, the number of classes, dense and
    real tensors, inputs (N, *shape), labels int64 (N,) or targets floating (N,) or (N, K), groups int64 (N,), one
    shape for training and test. Looks at no value: before a conversion, which would hide what is refused.
    """
    if not isinstance(data, Dataset):
        raise ConfigError(f"dataset: its code gave a {type(data).__name__}; allowed: an atml_exp.data.Dataset")
    _check_num_classes(data)
    for name in ("train", "test"):
        split, where = getattr(data, name), f"dataset = {data.name}: the {name} split"
        if not isinstance(split, Split):
            raise ConfigError(f"{where} is a {type(split).__name__}; allowed: an atml_exp.data.Split")
        for problem in _kind_problems(split, data.num_classes):
            raise ConfigError(f"{where} has {problem}")
    for what, ours, theirs in (("inputs", data.train.x, data.test.x), ("targets", data.train.y, data.test.y)):
        if ours.shape[1:] != theirs.shape[1:]:
            raise ConfigError(
                f"dataset = {data.name}: the test split has {what} {_shape(theirs)}, the train split "
                f"{_shape(ours)}; allowed: the same shape of each example"
            )


def _check_num_classes(data: Dataset) -> None:
    number = data.num_classes
    if number is None or (type(number) is int and number >= 2):
        return
    shown = number if type(number) is int else f"{number!r}, a {type(number).__name__}"
    raise ConfigError(
        f"dataset = {data.name}: num_classes = {shown}; allowed: a whole number of at least 2 (an int), or None "
        "for regression"
    )


def _kind_problems(split: Split, num_classes: int | None) -> Iterator[str]:
    x, y = split.x, split.y
    named = {"inputs": x, "labels" if num_classes else "targets": y, "groups": split.group, "weights": split.weight}
    for what, values in named.items():
        if values is not None and values.layout != torch.strided:
            yield f"{what} in a sparse tensor; allowed: a dense one (to_dense makes it)"
        if values is not None and values.is_complex():
            yield f"complex {what}, of type {values.dtype}; allowed: real numbers"
    if x.dim() < 2:
        yield f"inputs of shape {_shape(x)}; allowed: (N, *shape), of one feature (N, 1)"
    if num_classes is not None:
        yield from _whole_numbers("labels", y)
    elif not y.is_floating_point():
        yield f"targets of type {y.dtype}; allowed of a regression: floating numbers (of classes: num_classes)"
    elif y.dim() > 2 or 0 in y.shape[1:]:
        yield f"targets of shape {_shape(y)}; allowed: (N,), or (N, K) with K at least 1"
    if split.group is not None:
        yield from _whole_numbers("groups", split.group)


def _whole_numbers(what: str, values: Tensor) -> Iterator[str]:
    if values.dtype != torch.int64:
        yield f"{what} of type {values.dtype}; allowed: whole numbers (int64)"
    if values.dim() != 1:
        yield f"{what} of shape {_shape(values)}; allowed: (N,), one number for each example"


def _shape(values: Tensor) -> str:
    return str(tuple(values.shape))


def _check_labels(where: str, split: Split, num_classes: int | None) -> None:
    if num_classes is None:
        return
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
