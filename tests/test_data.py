"""Splits and datasets as frozen values."""

import dataclasses

import pytest
import torch

from atml_exp.data import Dataset, Split


def split(n=4, **more):
    return Split(torch.arange(n * 3.0).view(n, 3), torch.arange(n) % 2, **more)


def test_an_index_or_a_mask_names_examples():
    found = split(group=torch.arange(4))[torch.tensor([2, 0])]
    assert found.x[:, 0].tolist() == [6, 0]
    assert found.group.tolist() == [2, 0]
    assert len(split()[torch.tensor([True, False, False, True])]) == 2


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="x holds 3 examples and y 2"):
        Split(torch.zeros(3, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="group holds 1 labels for 4 examples"):
        split(group=torch.zeros(1))


def test_classes_stay_integers_and_targets_follow_the_dtype():
    assert split().to("cpu", torch.float64).y.dtype == torch.int64
    targets = Split(torch.zeros(2, 1), torch.zeros(2)).to("cpu", torch.float64)
    assert targets.x.dtype == targets.y.dtype == torch.float64


@pytest.mark.parametrize(
    ("y", "num_classes", "num_targets", "tasks"),
    [
        (torch.zeros(4, dtype=torch.long), 3, 3, {"classification"}),
        (torch.zeros(4, dtype=torch.long), 2, 2, {"classification", "binary"}),
        (torch.zeros(4), None, 1, {"regression"}),
        (torch.zeros(4, 5), None, 5, {"regression"}),
    ],
)
def test_what_a_model_must_give(y, num_classes, num_targets, tasks):
    data = Dataset("d", Split(torch.zeros(4, 2, 6), y), Split(torch.zeros(4, 2, 6), y), num_classes)
    assert (data.input_shape, data.num_targets, data.tasks) == ((2, 6), num_targets, tasks)


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        split().x = torch.zeros(4, 3)


def test_what_is_shown_of_data_is_short_and_says_shapes_types_and_device():
    whole = Split(torch.zeros(4, 1, 28, 28), torch.arange(4), torch.arange(4), torch.ones(4, dtype=torch.float64))
    assert repr(whole) == (
        "Split(x=(4, 1, 28, 28) float32, y=(4,) int64, group=(4,) int64, weight=(4,) float64, on cpu)"
    )
    data = Dataset("d", split(), split(2), 2, clean_labels=torch.arange(1000))
    assert repr(data) == (
        "Dataset(name='d', train=Split(x=(4, 3) float32, y=(4,) int64, on cpu), "
        "test=Split(x=(2, 3) float32, y=(2,) int64, on cpu), num_classes=2, group_names=())"
    )
