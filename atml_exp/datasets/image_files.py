"""torchvision's stored image datasets, read whole into memory from local files."""

import gzip
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError
from atml_exp.torchvision_operators import import_torchvision

__all__ = ["channel_moments", "read_images"]


def read_images(name: str, class_name: str, num_classes: int, *, root: str, download: bool) -> Dataset:
    """torchvision's dataset `class_name` from `root`: x (N, C, H, W) float32, each channel standardised by the
    training split's mean and std (/N, over pixels and images), y int64.

    Raises ConfigError where files are missing (with their paths and how to get them), altered or unreadable.
    """
    reader = getattr(import_torchvision().datasets, class_name)
    if download:
        _download(reader, root)
    _require_files(reader, root)
    train, test = (_read(reader, root, train=train, num_classes=num_classes) for train in (True, False))
    moments = channel_moments(train.x)
    return Dataset(name, _normalised(train, *moments), _normalised(test, *moments), num_classes)


def channel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std (/N) of each channel of uint8 images (N, C, H, W), (C, 1, 1) float64 each, from histograms:
    exact, and without a floating copy. A constant channel has std 1.

    >>> [moment.item() for moment in channel_moments(torch.tensor([0, 4], dtype=torch.uint8).view(2, 1, 1, 1))]
    [2.0, 2.0]
    """
    level = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([c.flatten().bincount(minlength=256) for c in images.unbind(1)]).double()
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ level
    std = (share * (level - mean[:, None]) ** 2).sum(1).sqrt()
    std[(counts > 0).sum(1) == 1] = 1.0
    return mean.view(-1, 1, 1), std.view(-1, 1, 1)


def _normalised(split: Split, mean: Tensor, std: Tensor) -> Split:
    x = split.x.to(torch.float32, memory_format=torch.contiguous_format)
    return Split(x.sub_(mean).div_(std), split.y)


def _read(reader: Any, root: str, *, train: bool, num_classes: int) -> Split:
    """One part as it is stored, images as (N, C, H, W) uint8."""
    part = "training" if train else "test"
    try:
        with warnings.catch_warnings():
            # CIFAR's pickles write dtype's `align` as a number, of which NumPy 2.4.0 … 2.4.4 warns.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align")
            stored = reader(root, train=train)
        images, labels = torch.as_tensor(stored.data), torch.as_tensor(stored.targets)
        x = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2)
        if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= num_classes:
            raise ValueError(f"labels must lie in 0 … {num_classes - 1}, and there must be some")
        return Split(x, labels.long())
    except (OSError, RuntimeError, ValueError, TypeError, AssertionError, LookupError, EOFError) as error:
        raise ConfigError(
            f"dataset.root={root}: the {part} files of {reader.__name__} in "
            f"{_folder(reader, root)} can't be read; they are truncated or damaged "
            f"({type(error).__name__}: {error}). Delete them and fetch them anew: {_how_to_get(reader)}"
        ) from error


def _require_files(reader: Any, root: str) -> None:
    expected = _expected_files(reader, root)
    for path in expected:
        _unzip(path)
    if missing := [path for path in expected if not path.is_file()]:
        listed = "".join(f"\n  {path}" for path in missing)
        raise ConfigError(
            f"dataset.root={root}: {len(missing)} of the {len(expected)} files of {reader.__name__} are missing:"
            f"{listed}\nEither put them there or {_how_to_get(reader)}"
        )
    check_md5 = import_torchvision().datasets.utils.check_md5
    if altered := [str(path) for path, md5 in expected.items() if md5 and not check_md5(path, md5)]:
        raise ConfigError(
            f"dataset.root={root}: the checksum of {', '.join(altered)} is not that of {reader.__name__}; "
            f"truncated or altered. Delete and fetch anew: {_how_to_get(reader)}"
        )


def _expected_files(reader: Any, root: str) -> Mapping[Path, str | None]:
    """Each file that torchvision will open, with its md5 sum where torchvision checks one."""
    folder = _folder(reader, root)
    if hasattr(reader, "resources"):
        return {folder / name.removesuffix(".gz"): None for name, _ in reader.resources}
    meta = (reader.meta["filename"], reader.meta["md5"])
    return {folder / name: md5 for name, md5 in [*reader.train_list, *reader.test_list, meta]}


def _folder(reader: Any, root: str) -> Path:
    inner = Path(reader.__name__, "raw") if hasattr(reader, "resources") else Path(reader.base_folder)
    return Path(root).expanduser().absolute() / inner


def _how_to_get(reader: Any) -> str:
    source = reader.mirrors[0] if hasattr(reader, "mirrors") else reader.url
    return f"set dataset.download=true (from {source})"


def _unzip(path: Path) -> None:
    """Unpacks `path`.gz where `path` itself is missing; whole or not at all."""
    archive = path.with_name(path.name + ".gz")
    if path.is_file() or not archive.is_file():
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with gzip.open(archive) as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target)
        partial.replace(path)
    except (OSError, EOFError) as error:
        raise ConfigError(f"{archive} can't be unpacked to {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _download(reader: Any, root: str) -> None:
    try:
        reader(root, download=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"dataset.download=true: {reader.__name__} couldn't be fetched to {root}: {error}"
        ) from error
