from dataclasses import replace

import pytest
import torch

from atml_exp.data import Split
from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.random_labels import random_labels
from atml_exp.datasets.wrappers.subset import subset
from atml_exp.errors import ConfigError


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.2, 20), (0.333, 33), (1.0, 100)])
def test_exactly_that_share_is_wrong(tiny, fraction, count):
    out = label_noise(tiny, 0, fraction=fraction)
    assert (out.train.y != tiny.train.y).sum() == count
    assert out.train.y.min() >= 0
    assert out.train.y.max() < 4
    assert out.train.y.dtype == torch.int64


def test_the_other_classes_are_equally_likely(tiny):
    y = torch.full((30_000,), 1)
    data = replace(tiny, train=Split(torch.zeros(30_000, 1), y))
    counts = label_noise(data, 0, fraction=1.0).train.y.bincount(minlength=4)
    assert counts[1] == 0
    assert (counts[[0, 2, 3]] - 10_000).abs().max() < 4 * (30_000 * 2 / 9) ** 0.5


def test_larger_noise_contains_smaller(tiny):
    small, large = (label_noise(tiny, 3, fraction=f).train.y for f in (0.2, 0.5))
    corrupted = small != tiny.train.y
    assert torch.equal(large[corrupted], small[corrupted])


def test_the_seed_decides(tiny):
    assert torch.equal(label_noise(tiny, 1).train.y, label_noise(tiny, 1).train.y)
    assert not torch.equal(label_noise(tiny, 1).train.y, label_noise(tiny, 2).train.y)


def test_what_is_not_changed_is_the_same_object(tiny):
    out = label_noise(tiny, 0)
    assert out.train.x is tiny.train.x
    assert out.train.group is tiny.train.group
    assert out.test is tiny.test


def test_clean_labels_are_the_first_ones_through_later_wrappers(tiny):
    out = subset(random_labels(label_noise(tiny, 0, fraction=0.5), 1), 2, num_train=40)
    number = out.train.x[:, 0, 0, 0].long()
    assert torch.equal(out.clean_labels, number % 4)


def test_regression_is_refused(regression):
    with pytest.raises(ConfigError, match="label_noise needs classes"):
        label_noise(regression, 0)


def test_one_draw_is_the_same_under_every_seed(tiny):
    one, same, other = (label_noise(tiny, seed, draw=draw).train.y for seed, draw in ((0, 3), (1, 3), (0, 4)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(one, label_noise(tiny, 3).train.y)


def test_test_labels_too_where_asked(tiny):
    plain, both = (label_noise(tiny, 3, fraction=0.25, test=test) for test in (False, True))
    assert torch.equal(plain.train.y, both.train.y)
    assert plain.test is tiny.test
    assert (both.test.y != tiny.test.y).sum() == 5
    assert both.test.x is tiny.test.x
