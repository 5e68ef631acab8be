import pytest
import torch

from atml_exp.datasets.corruption import (
    class_counts,
    first_share,
    num_classes_of,
    rank_within_class,
    relabel,
    select,
)
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError


@pytest.mark.parametrize(("fraction", "count"), [(0, 0), (0.004, 0), (0.005, 1), (0.5, 50), (1, 100)])
def test_first_share_is_rounded_and_without_repetition(fraction, count):
    index = first_share(100, fraction, stream(0, "t"))
    assert len(set(index.tolist())) == count


def test_first_shares_are_nested():
    small, large = (set(first_share(100, f, stream(0, "t")).tolist()) for f in (0.2, 0.6))
    assert small < large


def test_ranks_count_each_class_from_zero():
    y = torch.tensor([2, 0, 0, 2, 2, 3, 0, 2])  # class 1 is empty
    rank = rank_within_class(y, stream(0, "t"))
    for c in range(4):
        assert sorted(rank[y == c].tolist()) == list(range(int((y == c).sum())))


def test_ranks_are_random():
    """Each of three examples comes first in about a third of 600 draws."""
    y = torch.zeros(3, dtype=torch.int64)
    first = torch.stack([rank_within_class(y, stream(seed, "t")) == 0 for seed in range(600)]).sum(0)
    assert (first - 200).abs().max() < 4 * (600 * 2 / 9) ** 0.5


def test_relabel_changes_what_it_should_and_no_input(tiny):
    old = tiny.train.y.clone()
    out = relabel(tiny, torch.tensor([3, 5]), torch.tensor([0, 0]))
    assert out.train.y[[3, 5]].tolist() == [0, 0]
    assert (out.train.y != old).nonzero().flatten().tolist() == [3, 5]
    assert torch.equal(tiny.train.y, old)
    assert out.clean_labels is tiny.train.y


def test_relabel_of_nothing_keeps_the_object(tiny):
    assert relabel(tiny, torch.tensor([], dtype=torch.int64), torch.tensor([])).train is tiny.train


def test_select_keeps_the_order_and_everything_that_belongs_to_an_example(tiny):
    noisy = relabel(tiny, torch.tensor([7]), torch.tensor([0]))
    out = select(noisy, torch.tensor([7, 2]))
    assert out.train.x[:, 0, 0, 0].tolist() == [2, 7]
    assert out.train.y.tolist() == [2, 0]
    assert out.clean_labels.tolist() == [2, 3]
    assert out.train.group.tolist() == [0, 1]


def test_class_counts_includes_empty_classes():
    assert class_counts(torch.tensor([0, 2, 2]), 4).tolist() == [1, 0, 2, 0]


def test_regression_is_refused(regression, tiny):
    assert num_classes_of(tiny, "w") == 4
    with pytest.raises(ConfigError, match="dataset wrapper w needs classes, and dataset line is a regression"):
        num_classes_of(regression, "w")
