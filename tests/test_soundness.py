"""Unsound data is refused before training with one message; doubtful data is said and recorded."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from atml_exp.data import Dataset, Split
from atml_exp.errors import ConfigError
from atml_exp.soundness import check_sound, doubts

X = torch.arange(24.0).view(8, 3)
Y = torch.tensor([0, 1] * 4)
SOUND = Dataset("theirs", Split(X, Y), Split(X + 100, Y), num_classes=2)


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
        replace(_split("train", y=_with(X[:, 0], 1, float("nan"))), num_classes=None),
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
