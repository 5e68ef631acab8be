"""Unsound data is refused before training with one message; doubtful data is said and recorded."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError
from atml_exp.soundness import check_kind, check_sound, doubts

X = torch.arange(24.0).view(8, 3)
Y = torch.tensor([0, 1] * 4)
SOUND = Dataset("theirs", Split(X, Y), Split(X + 100, Y), num_classes=2)
REGRESSION = Dataset("theirs", Split(X, X[:, 0]), Split(X + 100, X[:, 0]), num_classes=None)


def _with(values: torch.Tensor, index: int, value: float) -> torch.Tensor:
    changed = values.clone()
    changed[index] = value
    return changed


def _split(name: str, **parts: Any) -> Dataset:
    return replace(SOUND, **{name: replace(getattr(SOUND, name), **parts)})


REFUSED = {
    "nan": (
        _split("train", x=_with(X, 5, float("nan"))),
        "train split has inputs that aren't finite, in 1 of 8 examples, first at index 5",
    ),
    "infinity": (
        _split("test", x=_with(_with(X, 2, float("inf")), 3, float("-inf"))),
        "test split has inputs that aren't finite, in 2 of 8 examples, first at index 2",
    ),
    "target": (
        replace(REGRESSION, train=Split(X, _with(X[:, 0], 1, float("nan")))),
        "train split has targets that aren't finite, in 1 of 8 examples, first at index 1",
    ),
    "weight": (
        _split("train", weight=_with(torch.ones(8), 7, float("inf"))),
        "train split has weights that aren't finite, in 1 of 8 examples, first at index 7",
    ),
    "label too large": (
        _split("test", y=_with(Y, 4, 2)),
        "test split has labels outside 0 … 1, in 1 of 8 examples, first at index 4 (there it is 2)",
    ),
    "negative label": (
        _split("train", y=_with(Y, 0, -1)),
        "train split has labels outside 0 … 1, in 1 of 8 examples, first at index 0 (there it is -1)",
    ),
    "floating labels": (
        _split("train", y=Y.double()),
        "train split has labels of type torch.float64; allowed: whole numbers (int64)",
    ),
    "no training": (
        replace(SOUND, train=Split(X[:0], Y[:0])),
        "train split is empty; allowed: at least one example",
    ),
    "no test": (replace(SOUND, test=Split(X[:0], Y[:0])), "test split is empty; allowed: at least one example"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_unsound_data_is_refused(fault: str) -> None:
    data, message = REFUSED[fault]
    with pytest.raises(ConfigError) as error:
        check_sound(data)
    assert str(error.value) == f"dataset = theirs: the {message}"


def _regression(train: torch.Tensor, test: torch.Tensor) -> Dataset:
    return replace(REGRESSION, train=Split(X, train), test=Split(X, test))


WHOLE = "allowed: whole numbers (int64)"
OF_ANOTHER_KIND = {
    "labels in a column": (
        _split("train", y=Y[:, None]),
        "the train split has labels of shape (8, 1); allowed: (N,), one number for each example",
    ),
    "one-hot labels": (
        _split("test", y=torch.eye(8)[:, :2].long()),
        "the test split has labels of shape (8, 2); allowed: (N,), one number for each example",
    ),
    "floating labels": (
        _split("test", y=Y.float()),
        f"the test split has labels of type torch.float32; {WHOLE}",
    ),
    "boolean labels": (_split("train", y=Y == 1), f"the train split has labels of type torch.bool; {WHOLE}"),
    "bytes as labels": (
        _split("train", y=Y.to(torch.uint8)),
        f"the train split has labels of type torch.uint8; {WHOLE}",
    ),
    "classes without their number": (
        replace(SOUND, num_classes=None),
        "the train split has targets of type torch.int64; allowed of a regression: floating numbers (of classes: "
        "num_classes)",
    ),
    "targets of three axes": (
        _regression(X[..., None], X[..., None]),
        "the train split has targets of shape (8, 3, 1); allowed: (N,), or (N, K) with K at least 1",
    ),
    "targets without a column": (
        _regression(X[:, :0], X[:, :0]),
        "the train split has targets of shape (8, 0); allowed: (N,), or (N, K) with K at least 1",
    ),
    "targets in a column in one split only": (
        _regression(X[:, 0], X[:, :1]),
        "the test split has targets (8, 1), the train split (8,); allowed: the same shape of each example",
    ),
    "other features in the test split": (
        _split("test", x=X[:, :2]),
        "the test split has inputs (8, 2), the train split (8, 3); allowed: the same shape of each example",
    ),
    "inputs of one axis": (
        _split("train", x=X[:, 0]),
        "the train split has inputs of shape (8,); allowed: (N, *shape), of one feature (N, 1)",
    ),
    "sparse inputs": (
        _split("train", x=X.to_sparse()),
        "the train split has inputs in a sparse tensor; allowed: a dense one (to_dense makes it)",
    ),
    "complex inputs": (
        _split("test", x=X.to(torch.complex64)),
        "the test split has complex inputs, of type torch.complex64; allowed: real numbers",
    ),
    "complex targets": (
        replace(REGRESSION, train=Split(X, X[:, 0].to(torch.complex64))),
        "the train split has complex targets, of type torch.complex64; allowed: real numbers",
    ),
    "floating groups": (
        _split("train", group=Y.float()),
        f"the train split has groups of type torch.float32; {WHOLE}",
    ),
    "a pair as a split": (
        replace(SOUND, train=(X, Y)),
        "the train split is a tuple; allowed: an atml_exp.data.Split",
    ),
}


@pytest.mark.parametrize("fault", OF_ANOTHER_KIND)
def test_data_of_another_kind_is_refused_before_it_is_converted(fault: str) -> None:
    data, message = OF_ANOTHER_KIND[fault]
    for check in (check_kind, check_sound):
        with pytest.raises(ConfigError) as error:
            check(data)
        assert str(error.value) == f"dataset = theirs: {message}"
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_dataset(data)  # the contract test of users' own


NO_CLASSES: dict[str, Any] = {"0": 0, "1": 1, "-2": -2, "2.0, a float": 2.0, "True, a bool": True}
NO_CLASSES |= {"'3', a str": "3", "tensor(2), a Tensor": torch.tensor(2)}


@pytest.mark.parametrize("shown", NO_CLASSES)
def test_a_number_of_classes_is_a_whole_number_of_at_least_2(shown: str) -> None:
    y = torch.zeros(8, dtype=torch.int64)  # of one class: every label is inside
    with pytest.raises(ConfigError) as error:
        check_sound(Dataset("theirs", Split(X, y), Split(X, y), num_classes=NO_CLASSES[shown]))
    assert str(error.value) == (
        f"dataset = theirs: num_classes = {shown}; allowed: a whole number of at least 2 (an int), or None for "
        "regression"
    )


def test_what_is_no_dataset_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^dataset: its code gave a tuple; allowed: an atml_exp\.data\.Dataset$"):
        check_sound((X, Y))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float16])
def test_inputs_of_any_real_type_may_be_converted_and_unconverted_whole_numbers_are_refused(
    dtype: torch.dtype,
) -> None:
    data = replace(_split("train", x=X.to(dtype)), test=Split(X.to(dtype), Y))
    check_kind(data)
    check_sound(data.to("cpu", torch.float32))
    if not dtype.is_floating_point:
        with pytest.raises(
            ConfigError, match=rf"train split has inputs of type {dtype}; allowed: floating numbers"
        ):
            check_sound(data)


@pytest.mark.parametrize("columns", [(), (1,), (3,)])
def test_targets_may_have_one_axis_or_two(columns: tuple[int, ...]) -> None:
    y = torch.ones(8, *columns)
    check_sound(_regression(y, y))


@pytest.mark.parametrize("value", [[[1.0]], ((1.0,),), np.ones((1, 1)), "x", None])
@pytest.mark.parametrize("part", ["x", "y", "group", "weight"])
def test_a_split_holds_tensors(part: str, value: Any) -> None:
    parts: dict[str, Any] = {"x": X[:1], "y": Y[:1], part: value}
    if value is None and part in ("group", "weight"):
        Split(**parts)
        return
    with pytest.raises(TypeError, match=f"^{part} is a {type(value).__name__}; allowed: a tensor"):
        Split(**parts)


def test_large_finite_numbers_are_sound_although_their_sum_is_not() -> None:
    check_sound(_split("train", x=torch.full((8, 3), 3e38)))


def test_sound_data_leaves_no_doubt() -> None:
    check_sound(SOUND)
    assert doubts(SOUND) == []


def test_a_constant_feature_of_a_table_is_said_and_constant_pixels_are_not() -> None:
    x = X.clone()
    x[:, 1] = 7
    assert doubts(_split("train", x=x)) == [
        "1 of 3 features have one value in all of the training split: nothing is learnt of them"
    ]
    assert (
        doubts(replace(SOUND, train=Split(x.view(8, 1, 3, 1), Y), test=Split((X + 100).view(8, 1, 3, 1), Y))) == []
    )


def test_test_examples_that_were_trained_on_are_counted() -> None:
    assert doubts(_split("test", x=torch.cat([X[:2], X[3:] + 100, -X[:1] * 0]))) == [
        "2 of 8 test examples (25 %) have the inputs of a training example: on them, memorising looks like "
        "generalising"
    ]


def test_minus_zero_is_zero() -> None:
    assert len(doubts(replace(SOUND, test=Split(torch.tensor([[-0.0, 1.0, 2.0]]), Y[:1])))) == 1


def test_one_split_for_both_is_by_design() -> None:
    assert doubts(replace(SOUND, test=Split(X.clone(), Y))) == []


def test_equal_inputs_under_other_labels_are_counted_unless_labels_were_corrupted_on_purpose() -> None:
    x = X.clone()
    x[1] = x[0]
    contradictory = _split("train", x=x)
    assert doubts(contradictory) == [
        "2 of 8 training examples have the inputs of another one with another label: no model fits them all"
    ]
    assert doubts(replace(contradictory, clean_labels=Y)) == []


THEIRS = """
import torch
from dataclasses import replace
from atml_exp.data import Dataset, Split
built = []
def data(*, bad: bool = False) -> Dataset:
    built.append(bad)
    x = torch.arange(24.0).view(12, 2)
    x[5, 0] = float("nan") if bad else 0
    y = torch.tensor([0, 1] * 6)
    return Dataset("theirs", Split(x[:8], y[:8]), Split(torch.cat([x[:1], x[8:11]]), y[:4]), 2)
def odd(*, what: str) -> Dataset:
    x, y = torch.arange(24.0).view(12, 2), torch.tensor([0, 1] * 6)
    if what == "array":
        return Dataset("theirs", Split(x.numpy(), y), Split(x, y), 2)
    if what == "lengths":
        return Dataset("theirs", Split(x, y[:8]), Split(x, y), 2)
    if what == "nothing":
        return None
    if what == "complex":
        return Dataset("theirs", Split(x.to(torch.complex64), y), Split(x, y), 2)
    return Dataset("theirs", Split(x, y * 0), Split(x, y * 0), 1)
def relabel(**_):
    return lambda data, seed: replace(data, train=replace(data.train, y=data.train.y + 1))
"""
OVERRIDES = (
    *(
        "trusted_packages=[theirs_unsound]",
        "~dataset.noise",
        "~dataset.num_train",
        "~dataset.num_test",
        "~dataset.seed",
    ),
    *(
        "dataset=two_moons",
        "dataset._target_=theirs_unsound.data",
        "model.width=4",
        "recipe.steps=2",
        "progress=false",
    ),
    *("recipe.batch_size=4", "probe=[]"),
)


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs_unsound.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs_unsound", raising=False)


@pytest.mark.usefixtures("theirs")
def test_a_command_refuses_unsound_data_before_anything_is_written(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    message = command(*OVERRIDES, "+dataset.bad=true").message
    assert (
        "dataset = theirs: the train split has inputs that aren't finite, in 1 of 8 examples, first at index 5"
        in message
    )
    assert not (tmp_path / "outputs").exists()


SAID = {
    "array": "can't be made of these values: TypeError: x is a ndarray; allowed: a tensor, as of torch.as_tensor",
    "lengths": "can't be made of these values: ValueError: x holds 12 examples and y 8: they must be equal",
    "nothing": "dataset: its code gave a NoneType; allowed: an atml_exp.data.Dataset",
    "complex": "the train split has complex inputs",
    "classes": "dataset = theirs: num_classes = 1; allowed: a whole number of at least 2",
}


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("what", SAID)
def test_a_command_says_in_a_line_what_is_odd_of_the_data(
    command: Callable[..., Any], tmp_path: Path, what: str
) -> None:
    overrides = [o for o in OVERRIDES if "theirs_unsound.data" not in o]
    result = command(*overrides, "dataset._target_=theirs_unsound.odd", f"+dataset.what={what}")
    assert result.code == 2
    assert SAID[what] in result.message
    assert "Traceback" not in result.message
    assert not (tmp_path / "outputs").exists()


@pytest.mark.usefixtures("theirs")
def test_a_wrapper_is_checked_too(command: Callable[..., Any], tmp_path: Path) -> None:
    wrapper = "+dataset.wrapper.mine={_target_:theirs_unsound.relabel}"
    message = command(*OVERRIDES, wrapper).message
    assert (
        "dataset = theirs: the train split has labels outside 0 … 1, in 4 of 8 examples, first at index 1"
        in message
    )
    assert not (tmp_path / "outputs").exists()


@pytest.mark.usefixtures("theirs")
def test_doubtful_data_is_recorded_and_trained_on(
    command: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert command(*OVERRIDES).code == 0
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    (warning,) = json.loads((run / "run.json").read_text())["warnings"]
    assert warning.startswith("1 of 4 test examples (25 %) have the inputs of a training example")


@pytest.mark.usefixtures("theirs")
def test_what_is_doubtful_is_said_once_for_all_runs_of_a_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from atml_exp.compose import compose_each
    from atml_exp.runner import run

    run(compose_each([[*OVERRIDES, f"output_dir={tmp_path}", f"seed={s}"] for s in range(3)]), reports=False)
    assert [r.getMessage()[:44] for r in caplog.records] == ["dataset theirs: 1 of 4 test examples (25 %) "]
