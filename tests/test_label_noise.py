"""Fresh label noise: how much, of which kind, and what it leaves as it was."""

import pytest
import torch

from atml_exp.label_noise import noisy_labels

Y = torch.arange(60_000) % 4


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_classes_become_each_other_class_with_equal_chance():
    noisy = noisy_labels(Y, 0.3, Y, draw())
    shift = (noisy - Y) % 4
    counts = torch.bincount(shift, minlength=4).double() / len(Y)
    assert counts.tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=3 * (0.21 / len(Y)) ** 0.5)
    assert noisy.dtype == torch.int64


def test_a_mini_batch_that_lacks_classes_can_still_be_given_them():
    noisy = noisy_labels(torch.zeros(1000, dtype=torch.int64), 1.0, Y, draw())
    assert noisy.unique().tolist() == [1, 2, 3]


def test_numbers_get_gaussian_noise_of_the_standard_deviation():
    y = torch.full((60_000, 2), 5.0, dtype=torch.float64)
    noise = noisy_labels(y, 0.3, y, draw()) - y
    assert noise.std().item() == pytest.approx(0.3, rel=3 / (2 * noise.numel()) ** 0.5)
    assert abs(noise.mean().item()) < 3 * 0.3 / noise.numel() ** 0.5


def test_no_noise_changes_nothing_and_the_labels_themselves_are_left():
    y = Y.clone()
    assert torch.equal(noisy_labels(y, 0.0, y, draw()), y)
    noisy_labels(y, 0.9, y, draw())
    assert torch.equal(y, Y)


@pytest.mark.parametrize(
    ("y", "amount", "message"),
    [
        (Y, 1.5, "at most 1, of two classes or more; got 1.5 and 4"),
        (torch.zeros(5, dtype=torch.int64), 0.5, "got 0.5 and 1"),
        (Y.double(), -0.1, "at least 0; got -0.1"),
        (Y, float("nan"), "at least 0; got nan"),
    ],
)
def test_noise_that_cannot_be_is_refused(y, amount, message):
    with pytest.raises(ValueError, match=message):
        noisy_labels(y, amount, y, draw())
