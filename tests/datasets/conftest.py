"""Small datasets, and a check of what was read from files."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from atml_exp.data import Dataset, Split

Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""What the fixtures write_mnist and write_cifar return."""


@pytest.fixture
def tiny() -> Dataset:
    """100 + 20 examples of 4 balanced classes, each input holding its own number: who came where is visible."""

    def split(start: int, count: int) -> Split:
        number = torch.arange(start, start + count)
        return Split(number[:, None, None, None] + torch.zeros(1, 2, 3, 3), number % 4, group=number % 2)

    return Dataset("tiny", split(0, 100), split(1000, 20), num_classes=4)


@pytest.fixture
def regression() -> Dataset:
    x = torch.arange(12.0)[:, None]
    return Dataset("line", Split(x, x[:, 0]), Split(x[:4], x[:4, 0]), num_classes=None)


@pytest.fixture
def check_images() -> Callable[[Dataset, Images], None]:
    """The dataset holds exactly these images, standardised per channel by the training part, and these labels."""

    def check(data: Dataset, images: Images) -> None:
        x = images["train"][0].astype(np.float64)
        mean, std = (moment(x, axis=(0, 2, 3), keepdims=True) for moment in (np.mean, np.std))
        for split, (pixels, labels) in ((data.train, images["train"]), (data.test, images["test"])):
            np.testing.assert_allclose(split.x, (pixels - mean) / std, atol=1e-5)
            assert split.y.tolist() == labels.tolist()
            assert (split.x.dtype, split.y.dtype) == (torch.float32, torch.int64)
            assert split.x.is_contiguous()

    return check
