"""What the wrappers share: which examples to take, and labels that remember what they were."""

from dataclasses import replace

import torch
from torch import Generator, Tensor

from atml_exp.data import Dataset
from atml_exp.errors import ConfigError

__all__ = ["class_counts", "first_share", "num_classes_of", "rank_within_class", "relabel", "select"]


def num_classes_of(data: Dataset, wrapper: str) -> int:
    """C; ConfigError for regression, where the wrapper means nothing."""
    if data.num_classes is None:
        raise ConfigError(f"dataset wrapper {wrapper} needs classes, and dataset {data.name} is a regression")
    return data.num_classes


def first_share(num_examples: int, fraction: float, generator: Generator) -> Tensor:
    """fraction·N examples, rounded (½ up), at random: under one seed a larger fraction's hold a smaller one's.

    >>> len(first_share(10, 0.25, torch.Generator().manual_seed(0)))
    3
    """
    return torch.randperm(num_examples, generator=generator)[: int(fraction * num_examples + 0.5)]


def relabel(data: Dataset, index: Tensor, labels: Tensor) -> Dataset:
    """Training examples `index` get `labels`; `clean_labels` keeps those from before the first corruption."""
    train = data.train
    clean = train.y if data.clean_labels is None else data.clean_labels
    if len(index):
        train = replace(train, y=train.y.index_put((index.to(train.y.device),), labels.to(train.y.device)))
    return replace(data, train=train, clean_labels=clean)


def select(data: Dataset, index: Tensor) -> Dataset:
    """The training examples `index`, in their original order; the test split as it was."""
    index = index.sort().values.to(data.train.y.device)
    clean = None if data.clean_labels is None else data.clean_labels[index]
    return replace(data, train=data.train[index], clean_labels=clean)


def class_counts(y: Tensor, num_classes: int) -> Tensor:
    """Examples of each class, (C,) int64."""
    return y.cpu().bincount(minlength=num_classes)


def rank_within_class(y: Tensor, generator: Generator) -> Tensor:
    """Each example's place (N,) in a random order of its class, from 0: the first k of every class are rank < k.

    >>> rank_within_class(torch.tensor([1, 0, 0]), torch.Generator().manual_seed(0)).sort().values
    tensor([0, 0, 1])
    """
    order = torch.randperm(len(y), generator=generator)
    order = order[y.cpu()[order].argsort(stable=True)]  # class by class, at random within each
    counts = y.cpu().bincount()
    start = (counts.cumsum(0) - counts).repeat_interleave(counts)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(y)) - start
    return rank
