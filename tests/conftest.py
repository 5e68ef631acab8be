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

from atml_exp import cli
from atml_exp.commands import export_cli, probe_cli
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


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[str], None]:
    """Writes `adult`, `compas` or `german_credit` under tmp_path in the published format, of 60 made-up people."""

    def write(name: str) -> None:
        for file, lines in {"adult": _adult, "compas": _compas, "german_credit": _german}[name]().items():
            (tmp_path / file).write_text("\n".join(lines) + "\n", encoding="utf-8")

    return write


def _adult() -> dict[str, list[str]]:
    def person(i: int) -> str:
        work, race, sex = (
            ("Private", "?", "Private")[i % 3],
            ("White", "Black")[i % 5 == 0],
            ("Female", "Male")[i % 2],
        )
        start = (
            f"{20 + i}, {work}, {1000 + i}, HS-grad, {i % 16 + 1}, {('Divorced', 'Widowed')[i % 2]}, Sales, Wife"
        )
        return f"{start}, {race}, {sex}, {10 * i}, 0, {30 + i % 20}, Cuba, {'>50K' if i % 3 == 0 else '<=50K'}"

    test = [f"{person(i)}." for i in range(20)]
    return {"adult.data": [*map(person, range(40)), ""], "adult.test": ["|1x3 Cross validator", *test]}


def _compas() -> dict[str, list[str]]:
    columns = (
        "sex,age,age_cat,race,juv_fel_count,juv_misd_count,juv_other_count,priors_count,days_b_screening_arrest,"
    )
    header = columns + "c_charge_degree,is_recid,score_text,priors_count,two_year_recid"

    def case(i: int, days: str = "0", degree: str = "F", recid: str = "0", score: str = "Low") -> str:
        race = ("African-American", "Caucasian", '"Other"')[i % 3]
        person = f"{('Male', 'Female')[i % 2]},{20 + i},25 - 45,{race},0,0,{i % 2},{i % 7}"
        return f"{person},{days},{degree},{recid},{score},0,{i % 2}"

    kept = [case(i, degree="FM"[i % 4 == 0]) for i in range(60)]
    left_out = [
        case(1, days="40"),
        case(1, days=""),
        case(1, degree="O"),
        case(1, recid="-1"),
        case(1, score="N/A"),
    ]
    return {"compas-scores-two-years.csv": [header, *left_out, *kept]}


def _german() -> dict[str, list[str]]:
    def customer(i: int) -> str:
        start = f"A1{i % 4 + 1} {6 + i} A3{i % 5} A4{i % 3} {1000 + 7 * i} A6{i % 5 + 1} A7{i % 5 + 1} {i % 4 + 1}"
        middle = (
            f"A9{(2, 3)[i % 2]} A101 {i % 4 + 1} A12{i % 4 + 1} {19 + i} A143 A152 {i % 2 + 1} A173 1 A191 A201"
        )
        return f"{start} {middle} {1 if i % 3 else 2}"

    return {"german.data": [*map(customer, range(60))]}
