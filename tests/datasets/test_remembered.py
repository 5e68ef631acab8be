import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atml_exp.datasets.remembered import remembered


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"x": np.arange(6.0).reshape(2, 3), "y": np.array([0, 1])}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "atml_exp"


def test_it_is_made_once_and_comes_back_as_it_was(folder: Path):
    make = Maker()
    first, second = remembered("a", make, 1.5), remembered("a", make, 1.5)
    assert make.calls == 1
    for name, array in make().items():
        assert array.dtype == first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], array)
        np.testing.assert_array_equal(second[name], array)


@pytest.mark.parametrize("other", [(2.5,), (1.5, 0), (np.array([1.5]),), ("1.5",), ()])
def test_other_inputs_are_another_question(folder: Path, other):
    make = Maker()
    remembered("a", make, 1.5)
    remembered("a", make, *other)
    assert make.calls == 2


def test_another_scikit_learn_is_asked_anew(folder: Path, monkeypatch):
    make = Maker()
    remembered("a", make)
    monkeypatch.setattr("atml_exp.datasets.remembered.version", lambda name: "99")
    remembered("a", make)
    assert make.calls == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", b"not an archive"])
def test_what_is_damaged_is_made_again(folder: Path, damage: bytes):
    make = Maker()
    remembered("a", make)
    (path,) = folder.iterdir()
    path.write_bytes(damage)
    np.testing.assert_array_equal(remembered("a", make)["y"], [0, 1])
    np.testing.assert_array_equal(remembered("a", make)["y"], [0, 1])
    assert make.calls == 2


def test_a_folder_that_cant_be_written_harms_nothing(folder: Path):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")
    make = Maker()
    assert list(remembered("a", make)) == ["x", "y"]
    assert list(remembered("a", make)) == ["x", "y"]
    assert make.calls == 2


def test_an_error_is_not_remembered(folder: Path):
    def fail() -> dict[str, np.ndarray]:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            remembered("a", fail)
    assert not folder.exists()


def test_the_second_time_digits_need_no_scikit_learn(folder: Path):
    code = """
import sys
from atml_exp.datasets.digits import digits
print(float(digits().test.x.double().sum()), len(digits().train), "sklearn" in sys.modules)
"""
    first, second = (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(2)
    )
    assert first[:2] == second[:2]
    assert (first[2], second[2]) == ("True", "False")
