"""MNIST: handwritten digits, 28×28, 60,000 for training and 10,000 for testing."""

from typing import Annotated

from atml_exp.data import Dataset
from atml_exp.datasets.image_files import read_images
from atml_exp.fields import Incidental

__all__ = ["mnist"]


def mnist(
    *, root: Annotated[str, Incidental()] = "data", download: Annotated[bool, Incidental()] = False
) -> Dataset:
    """x (N, 1, 28, 28) float32, y in 0 … 9 (LeCun, Bottou, Bengio & Haffner 1998).

    Each channel is standardised by the training split's mean and std. Read by torchvision from
    `root/MNIST/raw/*-ubyte (or .gz)`; ConfigError where files are missing or damaged.
    """
    return read_images("mnist", "MNIST", 10, root=root, download=download)
