from dataclasses import replace

import pytest
import torch

from atml_exp.data import Split
from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.datasets.wrappers.reweighing import reweighing, reweighing_weights
from atml_exp.errors import ConfigError

DATA = binormal_groups(
    base_rates=[0.2, 0.5, 0.7], separations=[1.0] * 3, shares=[3, 2, 1], num_train=600, num_test=30
)


def test_label_and_group_are_independent_under_the_weights():
    train = reweighing(DATA, 0).train
    share = float(train.y.double().mean())
    for g in range(3):
        of = train.group == g
        weighted = float((train.weight * train.y)[of].sum() / train.weight[of].sum())
        assert weighted == pytest.approx(share, rel=1e-12)
        assert float(train.weight[of].sum()) == pytest.approx(int(of.sum()), rel=1e-12)


def test_weights_are_1_on_average_and_keep_the_classes():
    train = reweighing(DATA, 0).train
    assert float(train.weight.mean()) == pytest.approx(1, rel=1e-12)
    assert float(train.weight[train.y == 1].sum()) == pytest.approx(int(train.y.sum()), rel=1e-12)


def test_independent_labels_weigh_1():
    y, group = torch.tensor([0, 1, 1, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert reweighing_weights(y, group).tolist() == [1.0] * 6


def test_nothing_else_changes_and_the_seed_does_not_matter():
    out = reweighing(DATA, 0)
    assert out.test is DATA.test
    assert out.train.x is DATA.train.x
    assert torch.equal(out.train.weight, reweighing(DATA, 1).train.weight)


def test_more_than_two_classes(tiny):
    train = reweighing(replace(tiny, train=replace(tiny.train, group=torch.arange(100) % 3)), 0).train
    for g in range(3):
        mass = torch.stack([train.weight[(train.group == g) & (train.y == c)].sum() for c in range(4)])
        torch.testing.assert_close(mass / mass.sum(), torch.full((4,), 0.25).to(mass))


def test_what_does_not_fit_is_refused(regression, tiny):
    y = DATA.train.y.clone()
    y[DATA.train.group == 1] = 0
    for data, said in (
        (replace(tiny, train=Split(tiny.train.x, tiny.train.y)), "reweighing needs groups"),
        (replace(DATA, train=replace(DATA.train, y=y)), r"group 1 \(B\) of binormal_groups has no .* of class 1"),
        (reweighing(DATA, 0), "have weights already"),
        (replace(regression, train=replace(regression.train, group=torch.arange(12) % 2)), "needs classes"),
    ):
        with pytest.raises(ConfigError, match=said):
            reweighing(data, 0)
