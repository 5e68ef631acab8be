"""CIFAR-10: colour photographs, 32×32, 50,000 for training and 10,000 for testing."""

from typing import Annotated

from atml_exp.data import Dataset
from atml_exp.datasets.image_files import read_images
from atml_exp.fields import Incidental

__all__ = ["cifar10"]


def cifar10(
    *, root: Annotated[str, Incidental()] = "data", download: Annotated[bool, Incidental()] = False
) -> Dataset:
    """x (N, 3, 32, 32) float32, y in 0 … 9 (Krizhevsky 2009).

    Each channel is standardised by the training split's mean and std. Read by torchvision from
    `root/cifar-10-batches-py`; ConfigError where files are missing or damaged.
    """
    return read_images("cifar10", "CIFAR10", 10, root=root, download=download)
