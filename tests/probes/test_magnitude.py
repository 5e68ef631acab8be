"""Magnitude of sets whose magnitude is known, where it is undefined, and of recorded points as a probe."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.distances import distances
from atml_exp.probes.magnitude import magnitude, trajectory_magnitude


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def of_points(points: np.ndarray, scale: float = 1.0):
    return magnitude(distances(points), scale)


@pytest.mark.parametrize("d", [1e-12, 0.3, 1.0, 700.0])
def test_two_points(d):
    found = magnitude([[0, d], [d, 0]])
    assert found.magnitude == pytest.approx(2 / (1 + math.exp(-d)), rel=1e-12)
    assert found.positive_magnitude == pytest.approx(found.magnitude, rel=1e-12)


@pytest.mark.parametrize("n", [1, 3, 50, 600])  # 600: more than one block of rows
def test_points_all_at_one_distance(n):
    found = magnitude(0.7 * (1 - np.eye(n)))
    assert found.magnitude == pytest.approx(n / (1 + (n - 1) * math.exp(-0.7)), rel=1e-12)


def test_points_on_a_line():
    gaps = np.random.default_rng(1).exponential(size=99)
    line = np.concatenate([[0.0], gaps.cumsum()])[:, None]
    found = of_points(np.random.default_rng(2).permutation(line))
    assert found.magnitude == pytest.approx(1 + np.tanh(gaps / 2).sum(), rel=1e-12)
    assert found.method == "cholesky"


def test_the_scale_multiplies_distances():
    matrix = distances(normal(30, 3))
    assert magnitude(matrix, 2.5).magnitude == pytest.approx(magnitude(2.5 * matrix).magnitude, rel=1e-12)


def test_from_one_point_to_all_of_them_as_the_scale_grows():
    found = [of_points(normal(40, 3), scale).magnitude for scale in (1e-6, 0.1, 1, 10, 1e6)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert found[-1] == 40


def test_rotation_translation_and_order_change_nothing():
    points, rotation = normal(60, 5), np.linalg.qr(normal(5, 5))[0]
    moved = np.random.default_rng(3).permutation(points) @ rotation + 7
    for key in ("magnitude", "positive_magnitude"):
        assert getattr(of_points(moved), key) == pytest.approx(getattr(of_points(points), key), rel=1e-9)


def test_sums_are_those_of_the_dense_solution():
    """Points at the corners of a square and in its middle, where a weight is negative at a small scale."""
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5], [0.5, 0.6], [0.4, 0.5]])
    weights = np.linalg.solve(np.exp(-0.1 * cdist(points, points)), np.ones(7))
    found = of_points(points, 0.1)
    assert weights.min() < -0.01
    assert found.magnitude == pytest.approx(weights.sum(), rel=1e-10)
    assert found.positive_magnitude == pytest.approx(np.maximum(weights, 0).sum(), rel=1e-10)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-9)


def test_points_that_are_alike_count_once():
    points = normal(20, 3)
    found, once = of_points(np.repeat(points, 3, 0)), of_points(points)
    assert found.points.tolist() == list(range(0, 60, 3))
    assert found.magnitude == pytest.approx(once.magnitude, rel=1e-12)
    assert magnitude(np.zeros((4, 4))).magnitude == 1


def bipartite(scale: float) -> float:
    """The magnitude of the graph K₃,₂ (Leinster 2013, example 2.2.8)."""
    return (5 - 7 * math.exp(-scale)) / ((1 + math.exp(-scale)) * (1 - 2 * math.exp(-2 * scale)))


K32 = np.array([[0 if i == j else 1 if (i < 3) != (j < 3) else 2 for j in range(5)] for i in range(5)])


@pytest.mark.parametrize("scale", [0.1, 0.3])
def test_a_metric_of_which_z_is_indefinite_takes_the_fallback(scale):
    assert scale < math.log(2) / 2
    found = magnitude(K32, scale)
    assert found.method == "eigen"
    assert found.magnitude == pytest.approx(bipartite(scale), rel=1e-12)
    assert abs(found.magnitude - bipartite(scale)) <= found.error < 1e-10
    assert magnitude(K32, 1.0).method == "cholesky"
    assert magnitude(K32, 1.0).magnitude == pytest.approx(bipartite(1.0), rel=1e-12)


def test_points_closer_than_rounding_take_the_fallback_and_count_once():
    points = np.array([[0.0], [1e-17], [1.0]])
    found = magnitude(cdist(points, points))
    assert found.method == "eigen"
    assert found.magnitude == pytest.approx(2 / (1 + math.exp(-1)), rel=1e-12)
    assert found.error < 1e-12


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0])
def test_the_error_is_a_bound(scale):
    """A line whose gaps range over twelve powers of ten, so that Z is close to singular."""
    gaps = np.logspace(-9, 3, 40)
    line = np.concatenate([[0.0], gaps.cumsum()])[:, None]
    found, truth = magnitude(cdist(line, line), scale), 1 + np.tanh(scale * gaps / 2).sum()
    assert abs(found.magnitude - truth) <= found.error + 4e-16 * 40


def test_no_weighting_is_refused():
    with pytest.raises(ValueError, match="singular and has no weighting"):
        magnitude(K32, math.log(2) / 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be a positive number"):
        magnitude([[0, 1], [1, 0]], scale)


def test_what_is_no_distance_matrix_is_refused():
    with pytest.raises(ValueError, match="0 on the diagonal"):
        magnitude(np.ones((3, 3)))


DATA = Split(torch.zeros(25, 2), torch.zeros(25, dtype=torch.long))


def test_the_probe_reads_both_scales_and_keeps_its_contract():
    points = torch.from_numpy(normal(30, 2, 3)).float()
    values = check_probe(lambda model, data: trajectory_magnitude(model, data, points), nn.Linear(2, 2), DATA)
    matrix = distances(points)
    large, middle, small = (magnitude(matrix, scale) for scale in (5.0, math.sqrt(0.05), 0.01))
    assert (values["sqrt_n"], values["positive_sqrt_n"]) == (large.magnitude, large.positive_magnitude)
    assert (values["small"], values["positive_small"]) == (small.magnitude, small.positive_magnitude)
    assert (values["num_points"], values["cholesky"]) == (30, True)
    assert values["error_bound"] >= max(large.error, small.error)
    assert values["scales"].tolist() == pytest.approx(np.geomspace(0.01, 5, 9).tolist())
    assert values["magnitudes"][[0, 4, 8]].tolist() == pytest.approx(
        [small.magnitude, middle.magnitude, large.magnitude], rel=1e-9
    )
    assert values["positive_magnitudes"][4].item() == pytest.approx(middle.positive_magnitude, rel=1e-9)


def test_the_probe_of_errors_that_never_change_reads_one_point():
    values = trajectory_magnitude(nn.Linear(2, 2), DATA, torch.zeros(30, 9).bool(), metric="mean_absolute")
    assert values["sqrt_n"] == values["positive_small"] == values["num_points"] == 1


def test_a_diverged_trajectory_is_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        trajectory_magnitude(nn.Linear(2, 2), DATA, torch.full((30, 9), math.nan))
