"""A projection keeps distances as its theory says, is linear and always the same; so is its distortion."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from atml_exp.projection import distortion, project


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_linear_and_the_same_each_time():
    x, y = normal(2, 500)
    torch.testing.assert_close(project(2 * x - y, 40), 2 * project(x, 40) - project(y, 40))
    assert torch.equal(project(torch.stack([x, y]), 40)[1], project(y, 40))
    assert not torch.equal(project(x, 40, seed=1), project(x, 40))


def test_each_coordinate_falls_into_one_place_with_a_sign():
    rows = project(torch.eye(500, dtype=torch.float64), 40)
    assert (rows != 0).sum(1).eq(1).all()
    assert rows.abs().sum(1).eq(1).all()
    assert 150 < (rows < 0).sum() < 350


def test_squared_norms_have_the_mean_and_variance_of_the_theory():
    """E‖Rw‖² = ‖w‖², Var‖Rw‖² = 2(‖w‖⁴ − ‖w‖₄⁴)/d, over 4,000 seeds; four standard errors are allowed."""
    w, d, n = normal(200), 20, 4000
    found = torch.stack([project(w, d, seed).square().sum() for seed in range(n)])
    square, fourth = w.square().sum(), w.pow(4).sum()
    variance = 2 * (square**2 - fourth) / d
    assert found.mean().item() == pytest.approx(square.item(), abs=4 * math.sqrt(variance.item() / n))
    assert found.var().item() == pytest.approx(variance.item(), rel=4 * math.sqrt(3 / n) * 2)


def test_single_precision_sums_in_double():
    x = 1e4 + normal(100_000).float()
    exact = project(x.double(), 10)
    torch.testing.assert_close(project(x, 10), exact.float(), rtol=1e-7, atol=0)


@pytest.mark.parametrize("dimension", [0, 501])
def test_a_dimension_that_is_none_is_refused(dimension):
    with pytest.raises(ValueError, match=f"from 1 to the number of coordinates, 500; got {dimension}"):
        project(normal(500), dimension)


def test_distortion_is_the_relative_error_of_scipys_distances():
    points = normal(30, 300)
    stored = project(points, 50)
    errors = np.abs(pdist(stored.numpy()) / pdist(points.numpy()) - 1)
    found = distortion(points, stored)
    assert found.max == pytest.approx(errors.max(), rel=1e-9)
    assert found.mean == pytest.approx(errors.mean(), rel=1e-9)
    assert found.num_pairs == 435


def test_distortion_falls_with_the_root_of_the_dimension():
    """The mean of |x| for errors of standard deviation 1/√(2d) is 1/√(πd)."""
    points = normal(60, 20_000)
    for d in (100, 1600):
        assert distortion(points, project(points, d)).mean == pytest.approx(1 / math.sqrt(math.pi * d), rel=0.25)


def test_points_that_are_alike_do_not_count():
    points = normal(5, 40).repeat(2, 1)
    assert distortion(points, points).num_pairs == 10
    assert distortion(points, points).max < 1e-14


@pytest.mark.parametrize(
    ("points", "message"),
    [(torch.full((5, 3), math.nan), "NaN or infinity"), (torch.ones(5, 3), "all 5 points are alike")],
)
def test_points_without_distances_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        distortion(points, points)


def test_another_number_of_stored_points_is_refused():
    with pytest.raises(ValueError, match="must be of one number; got 5, 4"):
        distortion(normal(5, 3), normal(4, 3))
