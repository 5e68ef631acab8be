"""Symmetric label noise: some training labels are wrong."""

import torch

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import first_share, num_classes_of, relabel
from atml_exp.datasets.sampling import stream
from atml_exp.fields import Fraction, NonNegativeInt

__all__ = ["label_noise"]


def label_noise(
    data: Dataset, seed: int, *, fraction: Fraction = 0.2, draw: NonNegativeInt | None = None
) -> Dataset:
    """`fraction` of the training labels (rounded to whole examples) become a uniformly random *other* class.

    Exactly that share of the given labels is wrong afterwards; with one's own class among the draws it would be
    random_labels. Under one seed the noise at a larger fraction contains that at a smaller one. Inputs and test
    split stay the same objects. draw: a number, for the same wrong labels under every seed of a run.
    Raises ConfigError for regression.
    """
    num_classes = num_classes_of(data, "label_noise")
    generator = stream(seed if draw is None else draw, "label_noise")
    offset = torch.randint(1, num_classes, (len(data.train),), generator=generator)
    index = first_share(len(data.train), fraction, generator)
    return relabel(data, index, (data.train.y.cpu()[index] + offset[index]) % num_classes)
