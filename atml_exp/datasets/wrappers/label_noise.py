"""Symmetric label noise: some training labels are wrong."""

from dataclasses import replace

import torch
from torch import Generator, Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import first_share, num_classes_of, relabel
from atml_exp.datasets.sampling import stream
from atml_exp.fields import Fraction, NonNegativeInt

__all__ = ["label_noise"]


def label_noise(
    data: Dataset,
    seed: int,
    *,
    fraction: Fraction = 0.2,
    draw: NonNegativeInt | None = None,
    test: bool = False,
) -> Dataset:
    """`fraction` of the training labels (rounded to whole examples) become a uniformly random *other* class.

    Exactly that share of the given labels is wrong afterwards; with one's own class among the draws it would be
    random_labels. Under one seed the noise at a larger fraction contains that at a smaller one. draw: a number, for
    the same wrong labels under every seed of a run. test: the test labels too, so that both splits are of one
    distribution; without it the test split stays the same object, as the inputs do. ConfigError for regression.
    """
    num_classes = num_classes_of(data, "label_noise")
    seed = seed if draw is None else draw
    index, labels = _changed(data.train.y, num_classes, fraction, stream(seed, "label_noise"))
    noisy = relabel(data, index, labels)
    if not test:
        return noisy
    y = data.test.y
    index, labels = _changed(y, num_classes, fraction, stream(seed, "label_noise/test"))
    return replace(noisy, test=replace(data.test, y=y.index_put((index.to(y.device),), labels.to(y.device))))


def _changed(y: Tensor, num_classes: int, fraction: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Which examples, and their new labels."""
    offset = torch.randint(1, num_classes, (len(y),), generator=generator)
    index = first_share(len(y), fraction, generator)
    return index, (y.cpu()[index] + offset[index]) % num_classes
