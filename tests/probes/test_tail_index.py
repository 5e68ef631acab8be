"""Tail index of stable noise as scipy draws it, the trap of pooling, and what has to be refused."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import levy_stable
from torch import Tensor

from atml_exp.probes.tail_index import tail_index, tail_index_of_steps


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard_error(alpha: float, num_blocks: int, block_size: int) -> float:
    """Of 1/α̂, from the blocks: log|X| of a symmetric stable X has the variance (π²/6)(1/α² + 1/2)."""
    return math.pi / math.sqrt(6 * num_blocks) * math.sqrt(1 / alpha**2 + 0.5) / math.log(block_size)


@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.5, 1.9, 2.0])
def test_symmetric_stable_noise(alpha):
    """A million numbers in blocks of a thousand: within three standard errors (0.015 to 0.026 in 1/α)."""
    x = levy_stable.rvs(alpha, 0, size=(10**6, 1), random_state=np.random.default_rng(0))
    found = tail_index(x, 1000)
    assert 1 / found.pooled == pytest.approx(1 / alpha, abs=3 * standard_error(alpha, 1000, 1000))
    assert found.per_coordinate.tolist() == [found.pooled]


def test_more_numbers_are_read_more_closely():
    x = levy_stable.rvs(1.5, 0, size=(10**6, 3), random_state=np.random.default_rng(1))
    found = tail_index(x, 1000)
    for reading in (found.mean, found.pooled):
        assert 1 / reading == pytest.approx(1 / 1.5, abs=3 * standard_error(1.5, 3000, 1000))


SCALES = torch.logspace(-2, 1, 20, dtype=torch.float64)


def test_gaussian_coordinates_of_different_scales_are_heavy_tailed_only_when_pooled():
    found = tail_index(normal(20_000, 20) * SCALES, 200)
    squares, logs = SCALES.square().mean().log().item(), SCALES.log().mean().item()
    expected = 0.5 + (0.5 * squares - logs) / math.log(200)
    assert 1 / found.pooled == pytest.approx(expected, abs=3 * standard_error(2, 2000, 200))
    assert found.pooled < 1.5
    assert 1 / found.mean == pytest.approx(0.5, abs=3 * standard_error(2, 2000, 200))
    assert found.per_coordinate.shape == (20,)


def test_coordinates_are_read_alike_whatever_their_scale_order_and_sign():
    x = normal(1000, 20)
    reference, scaled = tail_index(x, 50), tail_index(-x * SCALES, 50)
    torch.testing.assert_close(scaled.per_coordinate, reference.per_coordinate, rtol=1e-9, atol=0)
    flipped = tail_index(x.flip(1), 50)
    torch.testing.assert_close(flipped.per_coordinate, reference.per_coordinate.flip(0))
    assert tail_index(1000 * x, 50).pooled == pytest.approx(reference.pooled)


def test_the_formula_itself():
    x = torch.tensor([[1.0], [2.0], [-4.0], [8.0]])
    expected = (math.log(3) + math.log(4)) / 2 - (math.log(1) + math.log(2) + math.log(4) + math.log(8)) / 4
    assert 1 / tail_index(x, 2).pooled == pytest.approx(expected / math.log(2))


def test_what_fills_no_block_is_left_out():
    x = normal(107, 3)
    found = tail_index(x, 20)
    assert found.dropped == 7
    torch.testing.assert_close(found.per_coordinate, tail_index(x[:100], 20).per_coordinate)
    stream = x.flatten()[:320, None]
    assert found.pooled == pytest.approx(tail_index(stream, 20).pooled)


def test_a_constant_drift_reads_1():
    assert tail_index(np.full((100, 2), 3.0), 10).per_coordinate.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("increments", "block_size", "message"),
    [
        (normal(39, 2), 20, "at least two blocks of block_size = 20 rows; got 39"),
        (normal(100, 2), 1, "block_size must be at least 2; got 1"),
        (normal(100), 10, r"must be \(T, D\), one row for each step; got the shape \(100,\)"),
        (normal(100, 2) * math.nan, 10, "NaN or infinity"),
        (normal(100, 3) * torch.tensor([1.0, 0.0, 0.0]), 10, r"0 at some step in 2 of 3 .*the first is 1\)"),
    ],
)
def test_what_has_no_tail_index_is_refused(increments, block_size, message):
    with pytest.raises(ValueError, match=message):
        tail_index(increments, block_size)


def test_probe_reads_the_steps_of_a_walk_without_its_drift_and_its_dead_coordinates():
    walk = (normal(4001, 8) * torch.logspace(-2, 1, 8, dtype=torch.float64) + 0.5).cumsum(0)
    points = torch.cat([walk, torch.ones(4001, 2, dtype=torch.float64)], 1).reshape(4001, 2, 5)
    found = tail_index_of_steps(points, block_size=40)
    assert found["coordinates_used"] == 8
    assert found["readings"].shape == (8,)
    assert 1 / found["per_coordinate"] == pytest.approx(0.5, abs=3 * standard_error(2, 800, 40))
    assert found["pooled"] < 1.5


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (normal(40, 3).cumsum(0), r"40 points make 39 steps, and block_size = 20 needs at least 40: record more"),
        (torch.ones(100, 3), "no coordinate moved at every step"),
        (normal(100, 3) * math.nan, "NaN or infinity"),
    ],
)
def test_probe_refuses_what_says_nothing(points, message):
    with pytest.raises(ValueError, match=message):
        tail_index_of_steps(points)
