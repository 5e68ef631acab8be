from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.subset import subset
from atml_exp.errors import ConfigError


def numbers(data) -> list[int]:
    return data.train.x[:, 0, 0, 0].long().tolist()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("count", [1, 6, 37, 100])
def test_exact_number_of_different_examples(tiny, count, balanced):
    out = subset(tiny, 0, num_train=count, balanced=balanced)
    assert len(set(numbers(out))) == len(out.train) == count
    assert numbers(out) == sorted(numbers(out))
    assert out.test is tiny.test


@pytest.mark.parametrize("balanced", [False, True])
def test_larger_subsets_contain_smaller(tiny, balanced):
    sets = [set(numbers(subset(tiny, 4, num_train=n, balanced=balanced))) for n in (5, 10, 33, 100)]
    assert all(small < large for small, large in pairwise(sets))


@pytest.mark.parametrize(("count", "expected"), [(8, [2, 2, 2, 2]), (10, [3, 3, 2, 2])])
def test_balanced_counts(tiny, count, expected):
    assert subset(tiny, 0, num_train=count, balanced=True).train.y.bincount().tolist() == expected


def test_the_seed_decides(tiny):
    assert numbers(subset(tiny, 1, num_train=50)) == numbers(subset(tiny, 1, num_train=50))
    assert numbers(subset(tiny, 1, num_train=50)) != numbers(subset(tiny, 2, num_train=50))


def test_labels_groups_and_clean_labels_follow(tiny):
    out = subset(label_noise(tiny, 0, fraction=1.0), 0, num_train=30)
    number = torch.tensor(numbers(out))
    assert torch.equal(out.clean_labels, number % 4)
    assert torch.equal(out.train.group, number % 2)
    assert (out.train.y != out.clean_labels).all()


def test_works_on_regression(regression):
    assert len(subset(regression, 0, num_train=5).train) == 5


def test_more_than_there_are_is_refused(tiny):
    with pytest.raises(ConfigError, match="num_train=101, and tiny has 100 training examples: at most that many"):
        subset(tiny, 0, num_train=101)


def test_too_few_of_a_class_is_refused(tiny):
    scarce = replace(tiny, train=tiny.train[torch.tensor([0, 1, 2, 4, 5, 6, 7, 8])])  # one example of class 3
    with pytest.raises(ConfigError, match=r"num_train=8 .* takes 2 examples of class 3, and tiny has 1"):
        subset(scarce, 0, num_train=8, balanced=True)


def test_balanced_regression_is_refused(regression):
    with pytest.raises(ConfigError, match="subset with balanced=true needs classes"):
        subset(regression, 0, num_train=3, balanced=True)
