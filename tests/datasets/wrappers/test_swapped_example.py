from dataclasses import replace

import pytest
import torch

from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.swapped_example import swapped_example
from atml_exp.errors import ConfigError


def test_exactly_one_example_is_another(tiny):
    out = swapped_example(tiny, 0, index=5, donor=3)
    for name in ("x", "y", "group"):
        before, after = getattr(tiny.train, name), getattr(out.train, name)
        assert torch.equal(after[5], getattr(tiny.test, name)[3])
        kept = torch.arange(100) != 5
        assert torch.equal(after[kept], before[kept])
    assert tiny.train.x[5, 0, 0, 0] == 5  # the original was not written to


def test_the_test_split_is_the_same_object(tiny):
    assert swapped_example(tiny, 0).test is tiny.test


def test_nothing_is_random(tiny):
    first, second = (swapped_example(tiny, seed, index=2) for seed in (0, 1))
    assert torch.equal(first.train.x, second.train.x)


def test_clean_labels_follow_where_there_are_any(tiny):
    assert swapped_example(tiny, 0).clean_labels is None
    out = swapped_example(label_noise(tiny, 0, fraction=1.0), 0, index=5, donor=3)
    assert out.clean_labels[5] == tiny.test.y[3]
    assert out.clean_labels[6] == tiny.train.y[6]


def test_regression_and_data_without_groups(regression):
    out = swapped_example(regression, 0, index=11, donor=1)
    assert out.train.y[11] == 1.0
    assert out.train.group is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": 100}, r"index=100, and tiny's training split has 100 examples: 0 … 99"),
        ({"donor": 20}, r"donor=20, and tiny's test split has 20 examples: 0 … 19"),
    ],
)
def test_an_example_that_is_not_there_is_refused(tiny, options, message):
    with pytest.raises(ConfigError, match=message):
        swapped_example(tiny, 0, **options)


def test_a_donor_without_a_group_is_refused(tiny):
    with pytest.raises(ConfigError, match="tiny has groups for training only"):
        swapped_example(replace(tiny, test=replace(tiny.test, group=None)), 0)
