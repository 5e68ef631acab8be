from dataclasses import replace

import pytest
import torch

from atml_exp.data import Split
from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.datasets.wrappers.label_bias import label_bias
from atml_exp.errors import ConfigError

DATA = binormal_groups(base_rates=[0.4, 0.6], separations=[1.0, 1.0], num_train=40_000, num_test=5)
MISSED, INVENTED = [0.1, 0.5], [0.2, 0.0]


def test_each_group_and_class_is_recorded_wrongly_with_its_probability():
    out = label_bias(DATA, 0, missed=MISSED, invented=INVENTED)
    wrong = (out.train.y != DATA.train.y).double()
    for g in range(2):
        for y, rates in ((1, MISSED), (0, INVENTED)):
            at = (DATA.train.group == g) & (DATA.train.y == y)
            error = (rates[g] * (1 - rates[g]) / int(at.sum())) ** 0.5
            assert abs(float(wrong[at].mean()) - rates[g]) <= 4 * error
    assert torch.equal(out.clean_labels, DATA.train.y)
    assert out.test is DATA.test
    assert out.train.x is DATA.train.x


def test_the_recorded_base_rate_is_the_stated_one():
    out = label_bias(DATA, 1, missed=MISSED, invented=INVENTED)
    for g, p in enumerate((0.4, 0.6)):
        recorded = float(out.train.y[out.train.group == g].double().mean())
        assert recorded == pytest.approx(p * (1 - MISSED[g]) + (1 - p) * INVENTED[g], abs=4 * 0.5 / 20_000**0.5)


def test_larger_probabilities_change_what_smaller_ones_do_and_the_seed_decides():
    small, large = (label_bias(DATA, 3, missed=[m, m]).train.y for m in (0.1, 0.4))
    assert bool((large <= small).all())
    assert int(small.sum()) > int(large.sum())
    assert not torch.equal(small, label_bias(DATA, 4, missed=[0.1, 0.1]).train.y)


def test_probabilities_0_and_1_are_exact():
    assert torch.equal(label_bias(DATA, 0, missed=[0.0, 0.0]).train.y, DATA.train.y)
    flipped = label_bias(DATA, 0, missed=[1.0, 1.0], invented=[1.0, 1.0])
    assert torch.equal(flipped.train.y, 1 - DATA.train.y)


def test_what_does_not_fit_is_refused(tiny, regression):
    no_groups = replace(tiny, train=Split(tiny.train.x, tiny.train.y))
    for data, missed, said in (
        (no_groups, [0.1], "label_bias needs groups, and tiny has none"),
        (tiny, [0.1, 0.1], "needs two classes, and tiny has 4"),
        (DATA, [0.1], "missed has 1 entries and there are 2 groups"),
    ):
        with pytest.raises(ConfigError, match=said):
            label_bias(data, 0, missed=missed)
