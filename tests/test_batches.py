"""Batches are a pure function of seed and step."""

import pytest
import torch

from atml_exp.batches import Batches
from atml_exp.data import Split

X = torch.arange(20, dtype=torch.float64)[:, None]
SPLIT = Split(X, torch.arange(20))


def test_an_epoch_holds_each_example_at_most_once_and_is_ordered_anew():
    batches = Batches([SPLIT], [0], 6)
    epochs = [torch.cat([batches(3 * e + k).y for k in range(3)]) for e in range(2)]
    assert batches.steps_per_epoch == [3]
    assert all(len(e.unique()) == 18 for e in epochs)
    assert not torch.equal(*epochs)


def test_steps_can_be_asked_for_in_any_order():
    batches, later = Batches([SPLIT], [5], 6), Batches([SPLIT], [5], 6)
    in_order = [batches(t).y for t in range(9)]
    assert torch.equal(later(7).y, in_order[7])
    assert torch.equal(later(1).y, in_order[1])


def test_global_random_state_neither_matters_nor_changes():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = Batches([SPLIT], [0], 6)(0).y
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, Batches([SPLIT], [0], 6)(0).y)


@pytest.mark.parametrize("own_x", [False, True])
def test_replicas_get_what_they_would_get_alone(own_x):
    other = Split(X + 100 if own_x else X, SPLIT.y + 50)
    together = Batches([SPLIT, other], [3, 4], 6)(4)
    for r, split in enumerate((SPLIT, other)):
        alone = Batches([split], [3 + r], 6)(4)
        assert torch.equal(together.x[r], alone.x)
        assert torch.equal(together.y[r], alone.y)


@pytest.mark.parametrize("own_x", [False, True])
def test_replicas_with_batches_of_their_own_size_get_what_they_would_get_alone(own_x):
    other = Split(X + 100 if own_x else X, SPLIT.y + 50)
    splits, seeds, sizes = [SPLIT, other, SPLIT, other], [3, 4, 5, 6], [7, 3, 3, 2]
    batches = Batches(splits, seeds, sizes)
    assert batches.steps_per_epoch == [2, 6, 6, 10]
    for step in (0, 5, 11, 4):
        together = batches(step)
        assert together.sizes == ((1, 7), (2, 3), (1, 2))
        assert together.x.shape[:2] == together.y.shape == (4, 7)
        for r, (split, seed, size) in enumerate(zip(splits, seeds, sizes, strict=True)):
            alone = Batches([split], [seed], size)(step)
            assert torch.equal(together.x[r, :size], alone.x)
            assert torch.equal(together.y[r, :size], alone.y)


def test_refuses_label_noise_on_batches_of_different_sizes():
    with pytest.raises(ValueError, match="the replicas need batches of one size"):
        Batches([SPLIT, SPLIT], [0, 1], [2, 3], label_noise=0.1)


def test_full_batches_are_the_data_themselves():
    batch = Batches([SPLIT, SPLIT], [0, 1], None)(9)
    assert batch.x is SPLIT.x
    assert not batch.x_stacked
    assert Batches([SPLIT], [0], None).steps_per_epoch == [1]


def test_refuses_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="between 1 and 20"):
        Batches([SPLIT], [0], 21)
    with pytest.raises(ValueError, match=r"replacement = True: .* give a batch_size"):
        Batches([SPLIT], [0], None, replacement=True)
    with pytest.raises(ValueError, match="one size"):
        Batches([SPLIT, Split(X[:5], SPLIT.y[:5])], [0, 1], 2)


def test_with_replacement_each_example_is_drawn_from_all():
    """Independent draws: of 6 in a row, all differ with the chance 20·19·…·15/20⁶ = 0.436."""
    batches = Batches([SPLIT], [0], 6, replacement=True)
    drawn = torch.stack([batches(t).y for t in range(2000)])
    different = sum(len(row.unique()) == 6 for row in drawn) / 2000
    assert different == pytest.approx(0.436, abs=3 * (0.436 * 0.564 / 2000) ** 0.5)
    assert torch.bincount(drawn.flatten(), minlength=20).double().std() < 3 * (12000 / 20) ** 0.5
    assert torch.equal(batches(7).x[:, 0], batches(7).y.double())


def test_the_mean_of_a_batch_scatters_as_theory_says():
    """σ²/B with replacement; (σ²/B)(N − B)/(N − 1) without, within three standard errors of a variance."""
    variance = X.var(correction=0).item()
    for replacement, factor in ((True, 1.0), (False, 14 / 19)):
        batches = Batches([SPLIT], [0], 6, replacement=replacement)
        means = torch.stack([batches(3 * t).x.mean() for t in range(4000)])
        assert means.var().item() == pytest.approx(variance / 6 * factor, rel=3 * (2 / 4000) ** 0.5)


@pytest.mark.parametrize("batch_size", [None, 6])
@pytest.mark.parametrize("real", [False, True])
def test_label_noise_is_new_at_each_step_and_each_replica_its_own(batch_size, real):
    split = Split(X, SPLIT.y.double()) if real else SPLIT
    both = Batches([split, split], [3, 4], batch_size, label_noise=0.5)
    clean = Batches([split, split], [3, 4], batch_size)
    assert not torch.equal(both(0).y[0] - clean(0).y[..., :], both(1).y[0] - clean(1).y[..., :])
    for r in (0, 1):
        alone = Batches([split], [3 + r], batch_size, label_noise=0.5)(5)
        assert torch.equal(both(5).y[r], alone.y)
        assert torch.equal(Batches([split], [3 + r], batch_size)(5).x, alone.x)
    assert both(5).y_stacked
    assert not torch.equal(both(5).y[0], both(5).y[1])


@pytest.mark.parametrize("batch_size", [6, None])
def test_random_labels_are_one_permutation_during_the_first_steps(batch_size):
    batches = Batches([SPLIT], [0], batch_size, random_labels=4)
    plain = Batches([SPLIT], [0], batch_size)
    of_example: dict[float, set[int]] = {}
    for step in range(4):
        batch = batches(step)
        assert torch.equal(batch.x, plain(step).x)
        for x, y in zip(batch.x[:, 0].tolist(), batch.y.tolist(), strict=True):
            of_example.setdefault(x, set()).add(y)
    assert all(len(labels) == 1 for labels in of_example.values())
    assert len(set.union(*of_example.values())) == len(of_example)
    assert sum(x in labels for x, labels in of_example.items()) < 5
    assert torch.equal(batches(4).y, plain(4).y)


@pytest.mark.parametrize("batch_size", [6, None])
def test_replicas_have_the_random_labels_that_they_would_have_alone(batch_size):
    together = Batches([SPLIT, SPLIT], [3, 4], batch_size, random_labels="1ep")
    for row, seed in enumerate([3, 4]):
        alone = Batches([SPLIT], [seed], batch_size, random_labels="1ep")
        assert torch.equal(together(0).y[row], alone(0).y)
    assert not torch.equal(together(0).y[0], together(0).y[1])


@pytest.mark.parametrize("replacement", [False, True])
def test_the_indices_of_a_step_are_those_of_its_examples(replacement):
    for seeds in ([3], [3, 4]):
        batches = Batches([SPLIT] * len(seeds), seeds, 6, replacement=replacement)
        assert torch.equal(batches(5).y, batches.index(5))
    assert torch.equal(Batches([SPLIT], [3], None).index(5), torch.arange(20))
