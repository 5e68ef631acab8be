from dataclasses import replace

import pytest
import torch

from atml_exp.data import Split
from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.random_labels import random_labels
from atml_exp.errors import ConfigError


def test_every_class_is_equally_likely_whatever_the_label_was(tiny):
    data = replace(tiny, train=Split(torch.zeros(40_000, 1), torch.arange(40_000) % 4))
    y = random_labels(data, 0).train.y
    joint = (4 * data.train.y + y).bincount(minlength=16)
    assert (joint - 2500).abs().max() < 4 * (40_000 * 15 / 256) ** 0.5  # one's own class as often as another


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25])
def test_no_more_than_that_share_changes(tiny, fraction):
    data = replace(tiny, train=Split(torch.zeros(4000, 1), torch.arange(4000) % 4))
    changed = int((random_labels(data, 0, fraction=fraction).train.y != data.train.y).sum())
    drawn = 4000 * fraction
    assert changed <= drawn
    assert abs(changed - 0.75 * drawn) <= 4 * (drawn * 3 / 16) ** 0.5


def test_more_corruption_contains_less(tiny):
    some, more = (random_labels(tiny, 3, fraction=f).train.y for f in (0.3, 0.8))
    corrupted = some != tiny.train.y
    assert torch.equal(more[corrupted], some[corrupted])


def test_the_seed_decides_and_label_noise_draws_otherwise(tiny):
    first = random_labels(tiny, 1, fraction=0.5).train.y
    assert torch.equal(first, random_labels(tiny, 1, fraction=0.5).train.y)
    assert not torch.equal(first, random_labels(tiny, 2, fraction=0.5).train.y)
    chosen = [(y != tiny.train.y) for y in (first, label_noise(tiny, 1, fraction=0.5).train.y)]
    assert (chosen[0] & ~chosen[1]).any()


def test_what_is_not_changed_is_the_same_object(tiny):
    out = random_labels(tiny, 0)
    assert out.train.x is tiny.train.x
    assert out.test is tiny.test
    assert out.clean_labels is tiny.train.y


def test_the_first_clean_labels_stay(tiny):
    assert random_labels(label_noise(tiny, 0), 0).clean_labels is tiny.train.y


def test_regression_is_refused(regression):
    with pytest.raises(ConfigError, match="random_labels needs classes"):
        random_labels(regression, 0)
