from dataclasses import replace

import pytest
import torch

from atml_exp.data import Dataset, Split
from atml_exp.datasets.wrappers.shuffled_pixels import shuffled_pixels


@pytest.fixture
def places() -> Dataset:
    """Each value tells its example, channel and place; channels differ by a hundred, examples by a thousand."""

    def split(count: int) -> Split:
        n, c, p = torch.arange(count), torch.arange(2), torch.arange(20)
        x = 1000 * n[:, None, None] + 100 * c[:, None] + p
        return Split(x.view(count, 2, 4, 5).double(), n % 2)

    return Dataset("places", split(6), split(3), num_classes=2)


def orders(split: Split) -> torch.Tensor:
    return (split.x.long() % 100).flatten(2)  # (N, C, P): where each value came from


def test_one_permutation_for_all_examples_channels_and_both_splits(places):
    out = shuffled_pixels(places, 0)
    order = torch.cat([orders(out.train), orders(out.test)]).flatten(0, 1)
    assert sorted(order[0].tolist()) == list(range(20))
    assert order[0].tolist() != list(range(20))
    assert (order == order[0]).all()
    assert torch.equal(out.train.x // 100, places.train.x // 100)  # no value leaves its example or channel


def test_per_example_permutations_differ_and_keep_channels_together(places):
    out = shuffled_pixels(places, 0, per_example=True)
    order = torch.cat([orders(out.train), orders(out.test)])
    assert torch.equal(order[:, 0], order[:, 1])
    assert torch.equal(order[:, 0].sort(1).values, torch.arange(20).expand(9, 20))
    assert len({tuple(row) for row in order[:, 0].tolist()}) == 9
    assert torch.equal(out.test.x // 100, places.test.x // 100)


@pytest.mark.parametrize("per_example", [False, True])
def test_tables_lose_no_value(places, per_example):
    table = replace(
        places,
        train=replace(places.train, x=places.train.x.flatten(1)),
        test=replace(places.test, x=torch.rand(3, 40)),
    )
    out = shuffled_pixels(table, 0, per_example=per_example)
    for split, before in ((out.train, table.train), (out.test, table.test)):
        assert split.x.shape == before.x.shape
        assert not torch.equal(split.x, before.x)
        assert torch.equal(split.x.sort(1).values, before.x.sort(1).values)


def test_distances_between_examples_are_kept(places):
    out = shuffled_pixels(places, 5)
    before = torch.cdist(places.train.x.flatten(1), places.test.x.flatten(1))
    assert torch.allclose(torch.cdist(out.train.x.flatten(1), out.test.x.flatten(1)), before)


@pytest.mark.parametrize("per_example", [False, True])
def test_the_seed_decides_and_labels_are_the_same_objects(places, per_example):
    outs = [shuffled_pixels(places, seed, per_example=per_example) for seed in (1, 1, 2)]
    assert torch.equal(outs[0].train.x, outs[1].train.x)
    assert not torch.equal(outs[0].train.x, outs[2].train.x)
    assert outs[0].train.y is places.train.y
    assert outs[0].test.y is places.test.y


def test_the_test_set_does_not_depend_on_the_size_of_the_training_set(places):
    smaller = replace(places, train=replace(places.train, x=places.train.x[:1], y=places.train.y[:1]))
    whole, part = (shuffled_pixels(d, 0, per_example=True) for d in (places, smaller))
    assert torch.equal(whole.test.x, part.test.x)
