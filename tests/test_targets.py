"""Weights, groups and a replica's own numbers reach the training loss, alone and in a population."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.data import Split, of_group, stacks
from atml_exp.errors import ConfigError
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.hinge import hinge
from atml_exp.losses.mse import mse
from atml_exp.optimisers.sgd import SGD
from atml_exp.population import assemble
from atml_exp.siblings import _Nobody
from atml_exp.targets import Carried, carried
from atml_exp.train import Bench, fit


@of_group
@stacks("strength")
def spread(outputs, y, group=None, *, strength=1.0):
    """Cross-entropy, and the squared difference of the groups' mean outputs."""
    loss = cross_entropy(outputs, y)
    if group is None:
        return loss
    of_one = group.to(outputs.dtype)[:, None]
    means = [(outputs * m).sum(0) / m.sum().clamp_min(1) for m in (of_one, 1 - of_one)]
    return loss + strength * (means[0] - means[1]).square().sum()


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(12) % 3
    return Split(torch.randn(12, 4, generator=g, dtype=torch.float64), y, torch.arange(12) % 2)


def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def trained(splits, losses, *, batch_size=4, steps=6, seeds=None, **options):
    seeds = seeds or list(range(len(splits)))
    bench = Bench(splits, losses[0], SGD(0.1), [[]] * len(splits), _Nobody(lambda *_: None), loss_fns=losses)
    return fit(bench, assemble([net(s) for s in seeds], seeds), steps=steps, batch_size=batch_size, **options)


def test_what_needs_nothing_stays_as_it_is(data):
    splits, loss = carried([data], [cross_entropy])
    assert splits[0] is data
    assert loss is cross_entropy


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        (cross_entropy, torch.randn(3, 4), torch.tensor([0, 3, 1])),
        (mse, torch.randn(3, 1), torch.tensor([0.5, -1.0, 2.0])),
        (hinge, torch.randn(3, 1), torch.tensor([0, 1, 1])),
    ],
)
def test_a_weight_counts_as_often_as_the_example_would_stand_there(loss, outputs, y):
    times = torch.tensor([2, 0, 1])
    packed, weighted = carried([Split(torch.zeros(3, 1), y, weight=times.float())], [loss])
    repeated = loss(outputs.repeat_interleave(times, 0), y.repeat_interleave(times))
    torch.testing.assert_close(weighted(outputs, packed[0].y), repeated)


def test_weights_of_one_train_as_none_do(data):
    plain, weighted = (
        trained([d], [cross_entropy]).w for d in (data, replace(data, weight=torch.ones(12).double()))
    )
    torch.testing.assert_close(weighted, plain, rtol=1e-12, atol=1e-14)


def test_a_loss_of_groups_is_given_each_examples_group(data):
    packed, loss = carried([data], [partial(spread, strength=2.0)])
    outputs = torch.randn(12, 3, dtype=torch.float64)
    assert loss(outputs, packed[0].y) == spread(outputs, data.y, data.group, strength=2.0)
    assert spread(outputs, data.y) == cross_entropy(outputs, data.y)


@pytest.mark.parametrize("batch_size", [4, None])
def test_replicas_of_different_strength_train_as_each_alone(data, batch_size):
    losses = [partial(spread, strength=s) for s in (0.0, 0.5, 3.0)]
    together = trained([data] * 3, losses, batch_size=batch_size, seeds=[0, 0, 0])
    for r, loss in enumerate(losses):
        alone = trained([data], [loss], batch_size=batch_size, seeds=[0])
        torch.testing.assert_close(together.w[r], alone.w, rtol=1e-10, atol=1e-12)
    assert not torch.equal(together.w[0], together.w[2])
    without = trained([data], [cross_entropy], batch_size=batch_size, seeds=[0])
    torch.testing.assert_close(together.w[0], without.w, rtol=1e-10, atol=1e-12)


def test_weighted_replicas_train_as_each_alone(data):
    splits = [replace(data, weight=torch.rand(12, generator=torch.Generator().manual_seed(s))) for s in range(2)]
    together = trained(splits, [cross_entropy] * 2)
    for r, split in enumerate(splits):
        torch.testing.assert_close(
            together.w[r], trained([split], [cross_entropy], seeds=[r]).w, rtol=1e-10, atol=0
        )


def test_replicas_that_share_a_split_go_on_sharing_it(data):
    splits, loss = carried([data, data], [spread, spread])
    assert splits[0] is splits[1]
    assert loss == Carried(spread, ("group",), (), True)


@pytest.mark.parametrize(
    ("changes", "loss", "said"),
    [
        ({"group": None}, spread, "the dataset has none"),
        ({"weight": torch.ones(12)}, spread, "take one of the two"),
        ({"weight": torch.ones(12), "y": torch.zeros(12, 2)}, mse, "several columns"),
    ],
)
def test_what_cannot_be_carried_is_said(data, changes, loss, said):
    with pytest.raises(ConfigError, match=said):
        carried([replace(data, **changes)], [loss])


def test_labels_that_change_while_training_are_refused(data):
    with pytest.raises(ConfigError, match="neither groups nor weights"):
        trained([data], [spread], label_noise=0.1)


def test_weights_follow_their_examples(data):
    weighted = replace(data, weight=torch.arange(12.0))
    assert weighted[torch.tensor([3, 1])].weight.tolist() == [3.0, 1.0]
    assert weighted.to("cpu", torch.float32).weight.dtype == torch.float32
    with pytest.raises(ValueError, match="weight has the shape"):
        replace(data, weight=torch.ones(3))
