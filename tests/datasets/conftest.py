"""Small datasets, and writers of the on-disk formats of the stored ones."""

import gzip
import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from atml_exp.data import Dataset, Split
from atml_exp.torchvision_operators import import_torchvision

Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""'train' and 'test': uint8 images (N, C, H, W) and labels (N,)."""


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


def _images(channels: int, side: int, num_classes: int) -> Images:
    rng = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        level = np.arange(channels)[:, None, None] * 40  # channels of different mean
        images = rng.integers(0, 100, (count, channels, side, side)) + level
        return images.astype(np.uint8), np.arange(count) % num_classes

    return {"train": part(30), "test": part(12)}


def _idx(values: np.ndarray) -> bytes:
    """The IDX format: 0, 0, type (8 = unsigned byte), rank, the sizes as big-endian int32, then the bytes."""
    return (
        struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()
    )


@pytest.fixture
def write_mnist(tmp_path: Path) -> Callable[..., Images]:
    """Writes the four files of MNIST or FashionMNIST under tmp_path and returns what is in them."""

    def write(class_name: str, zipped: bool = False) -> Images:
        folder = tmp_path / class_name / "raw"
        folder.mkdir(parents=True)
        images = _images(1, 28, 10)
        for part, prefix in (("train", "train"), ("test", "t10k")):
            x, y = images[part]
            for name, values in ((f"{prefix}-images-idx3-ubyte", x[:, 0]), (f"{prefix}-labels-idx1-ubyte", y)):
                if zipped:
                    (folder / f"{name}.gz").write_bytes(gzip.compress(_idx(values)))
                else:
                    (folder / name).write_bytes(_idx(values))
        return images

    return write


@pytest.fixture
def write_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Images]:
    """Writes the pickled batches of CIFAR10 or CIFAR100 and tells torchvision their checksums."""

    def write(class_name: str) -> Images:
        reader = getattr(import_torchvision().datasets, class_name)
        images = _images(3, 32, reader_classes := 10 if class_name == "CIFAR10" else 100)
        folder = tmp_path / reader.base_folder
        folder.mkdir()
        names = [f"class {c}" for c in range(reader_classes)]
        meta = {"filename": reader.meta["filename"], "key": reader.meta["key"]}
        meta["md5"] = _pickle(folder / meta["filename"], {meta["key"]: names})
        key = "labels" if class_name == "CIFAR10" else "fine_labels"
        for part, listed in (("train", reader.train_list), ("test", reader.test_list)):
            x, y = (np.array_split(values, len(listed)) for values in images[part])
            sums = [
                [name, _pickle(folder / name, {"data": a.reshape(len(a), -1), key: b.tolist(), "old": OldDtype()})]
                for (name, _), a, b in zip(listed, x, y, strict=True)
            ]
            monkeypatch.setattr(reader, f"{part}_list", sums)
        monkeypatch.setattr(reader, "meta", meta)
        return images

    return write


class OldDtype:
    """Pickled as NumPy 1.x wrote a dtype, with `align` a number: NumPy 2.4.0 … 2.4.4 warn when they read that."""

    def __reduce__(self) -> tuple:
        return np.dtype, ("u1", 0, 1)


def _pickle(path: Path, content: dict) -> str:
    data = pickle.dumps(content, protocol=2)
    path.write_bytes(data)
    return hashlib.md5(data).hexdigest()


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
