"""CIFAR-100: colour photographs, 32×32, 100 classes of 500 + 100."""

from typing import Annotated

from atml_exp.data import Dataset
from atml_exp.datasets.image_files import read_images
from atml_exp.fields import Incidental

__all__ = ["cifar100"]


def cifar100(
    *, root: Annotated[str, Incidental()] = "data", download: Annotated[bool, Incidental()] = False
) -> Dataset:
    """x (N, 3, 32, 32) float32, y in 0 … 99, the fine labels (Krizhevsky 2009).

    Each channel is standardised by the training split's mean and std. Read by torchvision from
    `root/cifar-100-python`; ConfigError where files are missing or damaged.
    """
    return read_images("cifar100", "CIFAR100", 100, root=root, download=download)
