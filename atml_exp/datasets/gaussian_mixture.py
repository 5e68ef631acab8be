"""Isotropic Gaussian classes, equally likely, whose Bayes rule is the nearest mean."""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from scipy.linalg import helmert
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import balanced_labels, stream
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative, NonNegativeInt, Positive, PositiveInt

__all__ = ["Arrangement", "class_means", "gaussian_mixture"]

Arrangement = Literal["simplex", "circle"]


def gaussian_mixture(
    *,
    num_classes: Annotated[int, Ge(2)] = 3,
    dimension: PositiveInt = 2,
    separation: NonNegative = 4.0,
    spread: Positive = 1.0,
    arrangement: Arrangement = "simplex",
    num_train: PositiveInt = 1000,
    num_test: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """Class c is N(μ_c, spread²·I): x (N, dimension) float64, class counts differ by at most one.

    The means are `class_means`. Two classes: the Bayes error is Φ(−separation/(2·spread)).
    Raises ConfigError where that many means don't fit in the dimension.
    """
    means = class_means(num_classes, dimension, separation, arrangement)

    def sample(purpose: str, num_examples: int) -> Split:
        y = balanced_labels(num_examples, num_classes)
        z = torch.randn(
            num_examples, dimension, generator=stream(seed, f"gaussian_mixture/{purpose}"), dtype=torch.float64
        )
        return Split(means[y] + spread * z, y)

    return Dataset("gaussian_mixture", sample("train", num_train), sample("test", num_test), num_classes)


def class_means(num_classes: int, dimension: int, separation: float, arrangement: Arrangement) -> Tensor:
    """Means (C, D), float64, centred at 0.

    simplex: every two means are `separation` apart (needs C−1 dimensions). circle: corners of a regular polygon
    in the first two coordinates, neighbours `separation` apart.

    >>> class_means(2, 2, 4.0, "circle").round(decimals=6)
    tensor([[ 2.,  0.],
            [-2.,  0.]], dtype=torch.float64)
    """
    needed = num_classes - 1 if arrangement == "simplex" else 2
    if dimension < needed:
        raise ConfigError(
            f"dataset.dimension={dimension} is too small for {num_classes} classes with dataset.arrangement="
            f"{arrangement}: at least {needed}" + (", or arrangement=circle" if arrangement == "simplex" else "")
        )
    means = torch.zeros(num_classes, dimension, dtype=torch.float64)
    if arrangement == "simplex":
        means[:, :needed] = separation / math.sqrt(2) * torch.as_tensor(helmert(num_classes)).T
    else:
        angle = 2 * math.pi * torch.arange(num_classes, dtype=torch.float64) / num_classes
        radius = separation / (2 * math.sin(math.pi / num_classes))
        means[:, :2] = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return means
