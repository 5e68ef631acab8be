"""A write is whole or absent."""

import json

import numpy as np
import pytest

from atml_exp.store.files import write_arrays, write_atomically, write_json, write_stacked, write_text


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_and_text_is_utf8(tmp_path):
    write_text(tmp_path / "a" / "b", "∇²L")
    assert (tmp_path / "a" / "b").read_bytes() == "∇²L".encode()


def test_files_have_the_permissions_that_the_user_gives_new_files(tmp_path):
    (tmp_path / "own").touch()
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "own").stat().st_mode


def test_json_is_strict(tmp_path):
    write_json(tmp_path / "f.json", {"a": float("nan"), "b": [float("inf"), 1.5], "c": (1, {"d": -float("inf")})})
    text = (tmp_path / "f.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": [1, {"d": None}]}


def test_arrays_come_back_bit_for_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal((3, 4))
    write_arrays(tmp_path / "f.npz", {"values": values, "steps": np.arange(3)})
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert np.array_equal(file["values"], values)
        assert file["steps"].tolist() == [0, 1, 2]


def test_objects_are_not_pickled(tmp_path):
    with pytest.raises(ValueError, match="pickle"):
        write_arrays(tmp_path / "f.npz", {"x": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_parts_are_one_array_afterwards(tmp_path, shape):
    whole = np.random.default_rng(0).standard_normal((10, *shape)).astype(np.float32)
    write_stacked(tmp_path / "f.npz", np.arange(10), iter([whole[:4], whole[4:5], whole[5:]]))
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert np.array_equal(file["steps"], np.arange(10))
        assert np.array_equal(file["values"], whole)
        assert file["values"].dtype == np.float32


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.zeros((1, 3)), r"values of \(3,\), float64 follow others of \(2,\), float64"),
        (np.zeros((1, 2), np.float32), "float32 follow"),
        (np.zeros((2, 2)), "3 values for 2 steps"),
    ],
)
def test_parts_that_are_no_array_are_refused_and_leave_nothing(tmp_path, second, message):
    with pytest.raises(ValueError, match=message):
        write_stacked(tmp_path / "f.npz", np.arange(2), iter([np.zeros((1, 2)), second]))
    assert list(tmp_path.iterdir()) == []
