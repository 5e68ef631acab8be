"""The command line inside the test's process, and writers of the on-disk formats of the stored datasets."""

import gzip
import hashlib
import logging
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig

from atml_exp import cli, export_cli, probe_cli
from atml_exp.torchvision_operators import import_torchvision

Images = dict[str, tuple[np.ndarray, np.ndarray]]
"""'train' and 'test': uint8 images (N, C, H, W) and labels (N,)."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one message of a command that was refused."""
        assert (self.code, self.out) == (2, ""), (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        first, *rest = self.err.splitlines()
        assert first.startswith(("atml-exp: ", "atml-exp-probe: ", "atml-exp-export: "))
        assert all(line.startswith("  ") for line in rest)
        return self.err


@pytest.fixture
def hydra_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory; what a Hydra application sets for its process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["atml-exp"])
    monkeypatch.setattr(sys, "path", sys.path[:])
    root, hydra_config = logging.getLogger(), HydraConfig.instance()
    before = root.handlers[:], root.level, hydra_config.cfg
    yield
    root.handlers[:], hydra_config.cfg = before[0], before[2]
    root.setLevel(before[1])


@pytest.fixture
def command(hydra_state: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`command("seed=1")` is `atml-exp seed=1` in the working directory tmp_path."""
    return lambda *arguments: _ended(cli.main, arguments, capsys)


@pytest.fixture
def probe_command(hydra_state: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The same for `atml-exp-probe`."""
    return lambda *arguments: _ended(probe_cli.main, arguments, capsys)


@pytest.fixture
def export_command(hydra_state: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The same for `atml-exp-export`."""
    return lambda *arguments: _ended(export_cli.main, arguments, capsys)


def _ended(main: Callable[..., int], arguments: tuple[object, ...], capsys: pytest.CaptureFixture[str]) -> Ended:
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return Ended(code, *capsys.readouterr())


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
