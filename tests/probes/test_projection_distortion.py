"""The distortion is that of what `trajectory` stores with the same options."""

import pytest
import torch

from atml_exp.probes.projection_distortion import projection_distortion
from atml_exp.projection import distortion, project


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_exact_iterates_have_none():
    found = projection_distortion(normal(20, 100))
    assert found["max"] < 1e-9
    assert found["num_pairs"] == 190


def test_of_a_projection_it_is_that_of_the_projected_points():
    points = normal(20, 100)
    found, expected = (
        projection_distortion(points, dimension=30, seed=3),
        distortion(points, project(points, 30, 3)),
    )
    assert (found["max"], found["mean"]) == (expected.max, expected.mean)
    assert 0.01 < found["mean"] < found["max"]


def test_of_single_precision_it_is_that_of_rounding():
    """Close points far from the origin: 100 ± 1e-3, of which single precision keeps multiples of 7.6e-6."""
    found = projection_distortion(100 + 1e-3 * normal(20, 100), precision="float32")
    assert 1e-6 < found["max"] < 7.6e-6 / 1e-3


def test_a_diverged_sample_is_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        projection_distortion(torch.full((5, 3), float("nan")))
