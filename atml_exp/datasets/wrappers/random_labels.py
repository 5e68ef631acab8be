"""Random training labels: nothing about them can be learnt, only memorised."""

import torch

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import first_share, num_classes_of, relabel
from atml_exp.datasets.sampling import stream
from atml_exp.fields import Fraction

__all__ = ["random_labels"]


def random_labels(data: Dataset, seed: int, *, fraction: Fraction = 1.0) -> Dataset:
    """`fraction` of the training labels (rounded to whole examples) become a uniformly random class, their own
    among them (Zhang, Bengio, Hardt, Recht & Vinyals 2017).

    About fraction·(C−1)/C of the labels are wrong afterwards. Under one seed the corruption at a larger fraction
    contains that at a smaller one. Inputs and test split stay the same objects. ConfigError for regression.
    """
    num_classes = num_classes_of(data, "random_labels")
    generator = stream(seed, "random_labels")
    labels = torch.randint(0, num_classes, (len(data.train),), generator=generator)
    index = first_share(len(data.train), fraction, generator)
    return relabel(data, index, labels[index])
