"""Classes of unequal size in training, and a test split as it was."""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import class_counts, num_classes_of, rank_within_class, select
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import PositiveInt

__all__ = ["Profile", "class_imbalance", "class_sizes"]

Profile = Literal["exponential", "step"]


def class_imbalance(
    data: Dataset,
    seed: int,
    *,
    ratio: Annotated[float, Interval(ge=1, lt=float("inf"))] = 10.0,
    profile: Profile = "exponential",
    num_minority: PositiveInt | None = None,
) -> Dataset:
    """Drops training examples until the largest class is `ratio` times the smallest; the last classes are rare.

    The sizes are `class_sizes` with n = the size of the smallest class now. Under one seed the training split at a
    larger ratio is contained in that at a smaller one. The test split stays the same object. Raises ConfigError
    for regression, and where the rarest class would be left without an example.
    """
    num_classes = num_classes_of(data, "class_imbalance")
    y = data.train.y.cpu()
    largest = int(class_counts(y, num_classes).min())
    if ratio > largest:
        raise ConfigError(
            f"dataset wrapper class_imbalance: ratio={ratio} leaves the rarest class of {data.name} empty: "
            f"at most {largest}, the size of its smallest class"
        )
    sizes = class_sizes(largest, num_classes, ratio, profile, num_minority)
    rank = rank_within_class(y, stream(seed, "class_imbalance"))
    return select(data, (rank < sizes[y]).nonzero().flatten())


def class_sizes(
    largest: int, num_classes: int, ratio: float, profile: Profile, num_minority: int | None = None
) -> Tensor:
    """Sizes (C,) int64, rounded, from n = `largest` down to n/ratio.

    exponential ('long-tailed'; Cui, Jia, Lin, Song & Belongie 2019): n·ratio^(−c/(C−1)).
    step (Buda, Maki & Mazurowski 2018): n, and n/ratio for the last `num_minority` classes (None: ⌊C/2⌋).

    >>> class_sizes(100, 3, 100, "exponential"), class_sizes(100, 3, 100, "step")
    (tensor([100,  10,   1]), tensor([100, 100,   1]))
    """
    place = torch.arange(num_classes, dtype=torch.float64)
    if profile == "exponential":
        if num_minority is not None:
            raise ConfigError(
                f"dataset wrapper class_imbalance: num_minority={num_minority} belongs to profile=step; "
                "it must be null for profile=exponential"
            )
        exponent = place / max(num_classes - 1, 1)
    else:
        minority = num_classes // 2 if num_minority is None else num_minority
        if minority >= num_classes:
            raise ConfigError(
                f"dataset wrapper class_imbalance: num_minority={minority} of {num_classes} classes: "
                f"1 … {num_classes - 1}"
            )
        exponent = (place >= num_classes - minority).double()
    return (largest * ratio**-exponent).round().long()
