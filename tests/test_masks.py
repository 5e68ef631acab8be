"""Masks from scores: units as a whole, shuffled ones, layers left empty; of single weights in test_pruning."""

import math

import pytest
import torch

from atml_exp.masks import density_of, emptied, keep_largest, keep_units, prunable, shuffled


def scores():
    generator = torch.Generator().manual_seed(0)
    shapes = {"first.weight": (6, 3, 2, 2), "second.weight": (5, 24), "output.weight": (3, 5)}
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def test_units_go_as_a_whole_and_the_outputs_stay():
    mask = keep_units(scores(), 0.5)
    for name, rows in (("first.weight", 3), ("second.weight", 2)):  # round(2.5) is 2
        whole = mask[name].flatten(1)
        assert (whole.all(1) | ~whole.any(1)).all()
        assert int(whole.any(1).sum()) == rows
    assert mask["output.weight"].all()


def test_the_units_kept_have_the_largest_l1_norms():
    weights = {name: 2 * s - 1 for name, s in scores().items()}
    mask = keep_units({name: w.abs() for name, w in weights.items()}, 0.5)["second.weight"][:, 0]
    norms = torch.linalg.vector_norm(weights["second.weight"], ord=1, dim=1)
    assert norms[mask].min() > norms[~mask].max()


def test_a_unit_at_least_is_left_of_each_layer():
    assert [int(m.flatten(1).any(1).sum()) for m in keep_units(scores(), 0.01).values()] == [1, 1, 3]


def test_signed_scores_are_ranked_by_sign_too():
    mask = keep_largest({"a": torch.tensor([-5.0, -1.0, 0.0, 2.0])}, 0.5, "global")["a"]
    assert mask.tolist() == [False, False, True, True]
    masked = keep_largest({"a": torch.tensor([-5.0, -torch.inf, -torch.inf, -torch.inf])}, 0.25, "layer")["a"]
    assert masked.tolist() == [True, False, False, False]


def test_shuffling_keeps_the_count_of_each_layer():
    mask = keep_largest(scores(), 0.3, "global")
    other = shuffled(mask, torch.Generator().manual_seed(1))
    assert {n: int(m.sum()) for n, m in other.items()} == {n: int(m.sum()) for n, m in mask.items()}
    assert not torch.equal(other["second.weight"], mask["second.weight"])
    again = shuffled(mask, torch.Generator().manual_seed(1))
    assert all(torch.equal(other[n], again[n]) for n in mask)


def test_what_is_left_empty_is_named():
    small_last = {**scores(), "output.weight": 1e-9 * scores()["output.weight"]}
    assert emptied(keep_largest(small_last, 0.3, "global")) == ["output.weight"]
    assert emptied(keep_largest(small_last, 0.3, "layer")) == []
    assert density_of(keep_largest(small_last, 0.3, "global")) == pytest.approx(0.3, abs=0.003)


def test_refusals():
    with pytest.raises(ValueError, match="no weight of two dimensions or more"):
        prunable({"bias": torch.ones(3)})
    with pytest.raises(ValueError, match=r"density is 0: it must be in \(0, 1\]"):
        keep_units(scores(), 0)
    with pytest.raises(ValueError, match=r"second\.weight holds NaN"):
        keep_units({**scores(), "second.weight": torch.full((2, 2), math.nan)}, 0.5)
