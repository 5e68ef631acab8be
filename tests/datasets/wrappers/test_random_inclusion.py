from itertools import pairwise

import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.random_inclusion import random_inclusion
from atml_exp.errors import ConfigError


def numbers(split) -> list[int]:
    return split.x[:, 0, 0, 0].long().tolist()


@pytest.mark.parametrize("count", [1, 37, 99])
def test_the_pool_says_who_was_trained_on(tiny, count):
    out = random_inclusion(tiny, 0, num_train=count)
    assert len(out.train) == count
    assert numbers(out.test) == numbers(tiny.train)
    assert numbers(out.test[out.test.group == 1]) == numbers(out.train)
    assert sorted(set(out.test.group.tolist())) == [0, 1]
    assert out.train.group is None
    check_dataset(out)


def test_changed_labels_are_marked(tiny):
    noisy = label_noise(tiny, 0, fraction=0.3)
    out = random_inclusion(noisy, 1, num_train=50)
    assert torch.equal(out.test.group >= 2, noisy.train.y != tiny.train.y)
    assert torch.equal(out.test.y[out.test.group % 2 == 1], out.train.y)
    assert torch.equal(out.clean_labels, tiny.train.y[out.test.group % 2 == 1])


def test_each_is_in_as_often_as_not(tiny):
    included = torch.stack([random_inclusion(tiny, seed, num_train=50).test.group for seed in range(400)])
    assert (included.double().mean(0) - 0.5).abs().max() < 4.5 * 0.5 / 400**0.5


def test_larger_sets_contain_smaller(tiny):
    sets = [set(numbers(random_inclusion(tiny, 4, num_train=n).train)) for n in (5, 10, 33)]
    assert all(small < large for small, large in pairwise(sets))


def test_a_whole_pool_leaves_nothing_out_and_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"num_train=100, and the pool.*allowed: 1 to 99"):
        random_inclusion(tiny, 0, num_train=100)
