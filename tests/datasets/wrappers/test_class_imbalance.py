from itertools import pairwise

import pytest
import torch

from atml_exp.datasets.wrappers.class_imbalance import class_imbalance, class_sizes
from atml_exp.datasets.wrappers.label_noise import label_noise
from atml_exp.datasets.wrappers.subset import subset
from atml_exp.errors import ConfigError


def numbers(data) -> set[int]:
    return set(data.train.x[:, 0, 0, 0].long().tolist())


def test_exponential_sizes_fall_by_a_constant_factor():
    sizes = class_sizes(10_000, 5, 10_000, "exponential")
    assert sizes.tolist() == [10_000, 1000, 100, 10, 1]


@pytest.mark.parametrize(("num_minority", "expected"), [(None, [80, 80, 80, 20, 20]), (4, [80, 20, 20, 20, 20])])
def test_step_sizes(num_minority, expected):
    assert class_sizes(80, 5, 4, "step", num_minority).tolist() == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ratio": 8}, [25, 12, 6, 3]),  # 25, 12.5 (to even), 6.25, 3.125
        ({"ratio": 5, "profile": "step"}, [25, 25, 5, 5]),
        ({"ratio": 25, "profile": "step", "num_minority": 1}, [25, 25, 25, 1]),
        ({"ratio": 1}, [25, 25, 25, 25]),
    ],
)
def test_exact_counts(tiny, options, expected):
    out = class_imbalance(tiny, 0, **options)
    assert out.train.y.bincount().tolist() == expected
    assert len(numbers(out)) == sum(expected)
    assert out.test is tiny.test


def test_an_unbalanced_start_is_cut_to_its_smallest_class(tiny):
    start = subset(tiny, 0, num_train=50)
    smallest = int(start.train.y.bincount().min())
    assert class_imbalance(start, 0, ratio=1).train.y.bincount().tolist() == [smallest] * 4


@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_a_larger_ratio_is_contained_in_a_smaller(tiny, profile):
    sets = [numbers(class_imbalance(tiny, 2, ratio=ratio, profile=profile)) for ratio in (25, 5, 2, 1)]
    assert all(small < large for small, large in pairwise(sets))


def test_the_seed_decides(tiny):
    outs = [numbers(class_imbalance(tiny, seed)) for seed in (1, 1, 2)]
    assert outs[0] == outs[1] != outs[2]


def test_clean_labels_follow(tiny):
    out = class_imbalance(label_noise(tiny, 0, fraction=0.2), 0, ratio=2)
    assert torch.equal(out.clean_labels, out.train.x[:, 0, 0, 0].long() % 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 26}, "ratio=26 leaves the rarest class of tiny empty: at most 25"),
        ({"profile": "step", "num_minority": 4}, "num_minority=4 of 4 classes: 1 … 3"),
        ({"num_minority": 2}, "num_minority=2 belongs to profile=step"),
    ],
)
def test_what_can_not_be_is_refused(tiny, options, message):
    with pytest.raises(ConfigError, match=message):
        class_imbalance(tiny, 0, **options)


def test_regression_is_refused(regression):
    with pytest.raises(ConfigError, match="class_imbalance needs classes"):
        class_imbalance(regression, 0)
