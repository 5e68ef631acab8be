"""Weights under which label and group are independent."""

from dataclasses import replace

from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import num_classes_of
from atml_exp.datasets.groups import groups_of
from atml_exp.errors import ConfigError

__all__ = ["reweighing", "reweighing_weights"]


def reweighing(data: Dataset, seed: int) -> Dataset:
    """Each training example weighs P(g)·P(y)/P(g, y) of its group and label (Kamiran & Calders 2012, Algorithm 3).

    Under these weights the share of every class is the same in each group, exactly, and class and group shares stay
    what they were; they are 1 on average. The model and its loss stay, and the loss must be a mean over examples.
    Labels are those at hand: a wrapper that changes them comes before. Nothing is random: `seed` is not used.
    Raises ConfigError without groups, for regression, where a group lacks a class (nothing can then stand for it),
    and where examples have weights already.
    """
    group, number = groups_of(data, "reweighing")
    classes = num_classes_of(data, "reweighing")
    if data.train.weight is not None:
        raise ConfigError(f"dataset wrapper reweighing: the training examples of {data.name} have weights already")
    y = data.train.y.cpu()
    _require_classes(data, y, group, number, classes)
    weight = reweighing_weights(y, group)
    return replace(data, train=replace(data.train, weight=weight.to(data.train.x)))


def reweighing_weights(y: Tensor, group: Tensor) -> Tensor:
    """P(g)·P(y)/P(g, y) for each example (N,), float64; y and group (N,) int64.

    >>> import torch
    >>> reweighing_weights(torch.tensor([1, 0, 1, 0, 0]), torch.tensor([0, 0, 1, 1, 1])).tolist()
    [0.8, 1.2, 1.2, 0.9, 0.9]
    """
    of_group, of_class = group.bincount()[group], y.bincount()[y]
    cell = group * (int(y.max()) + 1) + y
    return of_group.double() * of_class / (cell.bincount()[cell] * len(y))


def _require_classes(data: Dataset, y: Tensor, group: Tensor, number: int, classes: int) -> None:
    counts = (group * classes + y).bincount(minlength=number * classes).view(number, classes)
    present = counts.sum(1) > 0
    for g, c in (counts == 0).nonzero().tolist():
        if present[g]:
            name = f" ({data.group_names[g]})" if g < len(data.group_names) else ""
            raise ConfigError(
                f"dataset wrapper reweighing: group {g}{name} of {data.name} has no training example of class {c}: "
                "no weight makes up for that"
            )
