"""A smaller training split."""

import torch
from torch import Generator, Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import class_counts, num_classes_of, rank_within_class, select
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import PositiveInt

__all__ = ["subset"]


def subset(data: Dataset, seed: int, *, num_train: PositiveInt = 1000, balanced: bool = False) -> Dataset:
    """`num_train` random training examples, in their original order; the test split stays the same object.

    balanced: the classes' counts (as labelled now) differ by at most one, lower classes first.
    Under one seed a larger subset contains a smaller one. Raises ConfigError where there are too few examples,
    and for `balanced` on regression.
    """
    if num_train > len(data.train):
        raise ConfigError(
            f"dataset wrapper subset: num_train={num_train}, and {data.name} has {len(data.train)} training "
            "examples: at most that many"
        )
    generator = stream(seed, "subset")
    if balanced:
        return select(data, _balanced(data, num_train, generator))
    return select(data, torch.randperm(len(data.train), generator=generator)[:num_train])


def _balanced(data: Dataset, num_train: int, generator: Generator) -> Tensor:
    num_classes = num_classes_of(data, "subset with balanced=true")
    wanted = (num_train + num_classes - 1 - torch.arange(num_classes)) // num_classes
    y = data.train.y.cpu()
    counts = class_counts(y, num_classes)
    if bool((counts < wanted).any()):
        scarce = int((counts - wanted).argmin())
        raise ConfigError(
            f"dataset wrapper subset: num_train={num_train} with balanced=true takes {int(wanted[scarce])} "
            f"examples of class {scarce}, and {data.name} has {int(counts[scarce])}; a smaller num_train, "
            "or balanced=false"
        )
    return (rank_within_class(y, generator) < wanted[y]).nonzero().flatten()
