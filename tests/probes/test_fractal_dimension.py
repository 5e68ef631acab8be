"""PH₀ dimension on sets whose dimension is known, its invariances, and the sets that it must refuse or doubt."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.distances import distances
from atml_exp.probes.fractal_dimension import (
    MAX_RESIDUAL,
    MAX_SLOPE,
    fractal_dimension,
    ph_dimension,
    weighted_lifetime_sum,
)

SIZES = list(range(200, 1000, 50))


def cube(dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1000, dimension))


def gaussian(dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1000, dimension))


def sierpinski(seed: int = 0) -> np.ndarray:
    """1,000 points of the Sierpinski triangle by the chaos game, 40 steps from its corner."""
    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    choices = np.random.default_rng(seed).integers(0, 3, (1000, 40))
    return np.einsum("nkd,k->nd", corners[choices], 0.5 ** np.arange(1, 41))


@pytest.mark.parametrize(
    ("make", "expected", "spread"),
    [
        (lambda seed: cube(1, seed), 1.005, 0.004),
        (lambda seed: cube(2, seed), 1.96, 0.04),
        (lambda seed: cube(3, seed), 2.89, 0.08),
        (sierpinski, 1.590, 0.024),
    ],
    ids=["interval", "square", "cube", "sierpinski"],
)
def test_sets_of_known_dimension(make, expected, spread):
    """Mean of ten draws: expected ± spread are those of single readings, and two standard errors are allowed, and
    half a spread for the rounding of the expected value."""
    found = [ph_dimension(make(seed), sizes=SIZES) for seed in range(10)]
    assert np.mean([f.dimension for f in found]) == pytest.approx(expected, abs=spread * (2 / np.sqrt(10) + 0.5))
    assert all(f.reliable and f.residual < 0.03 for f in found)


def test_the_default_sizes_for_1000_points():
    assert ph_dimension(cube(2)).sizes.tolist() == SIZES


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_equispaced_points_have_their_exact_sum(alpha):
    for n in (2, 11, 500):
        line = np.linspace(0, 1, n)[:, None]
        assert weighted_lifetime_sum(line, alpha) == pytest.approx((n - 1) ** (1 - alpha), rel=1e-9)


def test_alpha_below_the_dimension_reads_it_too():
    assert ph_dimension(cube(3), alpha=2.0).dimension == pytest.approx(2.9, abs=0.2)
    assert ph_dimension(cube(2), alpha=0.5).dimension == pytest.approx(2.0, abs=0.1)


def test_a_set_of_dimension_below_alpha_reads_alpha():
    """A Cantor set has dimension log 2/log 3 = 0.63: alpha = 1 floors at 1, alpha = 0.25 doesn't."""
    digits = np.random.default_rng(0).integers(0, 2, (1000, 30))
    cantor = (digits * 2 * 3.0 ** -np.arange(1, 31)).sum(1)[:, None]
    assert ph_dimension(cantor).dimension == pytest.approx(1.0, abs=0.01)
    assert ph_dimension(cantor, alpha=0.25).dimension == pytest.approx(0.63, abs=0.05)


def test_a_straight_path_reads_1_and_a_random_walk_2():
    steps = gaussian(1000)
    line = np.linspace(0, 1, 1000)[:, None] * steps[0]
    assert ph_dimension(line).dimension == pytest.approx(1.0, abs=0.02)
    assert ph_dimension(steps.cumsum(0)).dimension == pytest.approx(2.25, abs=0.05)  # 2 as the walk grows longer


def test_the_reading_does_not_change_with_scale_rotation_and_translation():
    points = cube(3)
    rotation = np.linalg.qr(gaussian(3)[:3])[0]
    moved = ph_dimension(1e4 * points @ rotation + 7)
    reference = ph_dimension(points)
    assert moved.dimension == pytest.approx(reference.dimension, rel=1e-9)
    assert moved.residual == pytest.approx(reference.residual, rel=1e-6)
    np.testing.assert_allclose(moved.weighted_sums, 1e4 * reference.weighted_sums, rtol=1e-9)


def test_sums_are_those_of_nested_subsamples():
    points = cube(2)[:100]
    found = ph_dimension(points, sizes=[30, 60, 100], num_repeats=2, alpha=1.5)
    generator = np.random.default_rng(0)
    for sums in found.weighted_sums:
        order = generator.permutation(100)
        np.testing.assert_allclose(sums, [weighted_lifetime_sum(points[order[:n]], 1.5) for n in (30, 60, 100)])


def test_slope_and_residual_are_the_least_squares_fit():
    found = ph_dimension(cube(2), sizes=[100, 200, 400, 800], num_repeats=3)
    x, y = np.log(np.tile(found.sizes, 3)), np.log(found.weighted_sums.ravel())
    slope, intercept = np.polyfit(x, y, 1)
    assert found.slope == pytest.approx(slope, rel=1e-9)
    assert found.residual == pytest.approx(np.sqrt(np.mean((y - slope * x - intercept) ** 2)), rel=1e-9)
    assert found.dimension == pytest.approx(1 / (1 - slope), rel=1e-9)


def test_the_seed_alone_draws_the_subsamples():
    torch.manual_seed(0)
    np.random.seed(0)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = (ph_dimension(cube(2), seed=s).weighted_sums for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("dimension", [50, 1000])
def test_independent_points_in_a_high_dimension_are_not_reliable(dimension):
    found = ph_dimension(gaussian(dimension))
    assert found.slope > MAX_SLOPE
    assert not found.reliable
    assert "near 1" in found.reason


def test_sums_that_follow_no_line_are_not_reliable():
    cauchy = np.random.default_rng(0).standard_cauchy((1000, 2))
    found = ph_dimension(cauchy)
    assert found.residual > MAX_RESIDUAL
    assert not found.reliable
    assert "don't follow" in found.reason


def test_ten_dimensions_are_still_reliable():
    found = ph_dimension(cube(10))
    assert found.reliable
    assert 7.5 < found.dimension < 9.5


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.full((100, 2), np.nan), {}, "NaN or infinity"),
        (np.ones((100, 2)), {}, "all 100 points are alike"),
        (gaussian(2)[:19], {}, "at least 20 different ones for a fit over subsamples; got 19"),
        (gaussian(2)[:, 0], {}, "one point in each row"),
        (np.eye(100)[[0] * 99 + [1]], {"num_repeats": 1}, "different ones for a fit over subsamples; got 2"),
        (gaussian(2), {"alpha": 0.0}, "alpha must be a positive number; got 0.0"),
        (gaussian(2), {"alpha": np.inf}, "alpha must be a positive number; got inf"),
        (gaussian(2), {"num_repeats": 0}, "num_repeats must be at least 1; got 0"),
        (gaussian(2), {"sizes": [100]}, "at least two different whole numbers"),
        (gaussian(2), {"sizes": [100, 100]}, "at least two different whole numbers"),
        (gaussian(2), {"sizes": [100.5, 200]}, "at least two different whole numbers"),
        (gaussian(2), {"sizes": [1, 200]}, "from 2 to the number of different points, 1000"),
        (gaussian(2), {"sizes": [100, 1001]}, "from 2 to the number of different points, 1000"),
    ],
)
def test_what_has_no_dimension_is_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        ph_dimension(points, **options)


def test_the_probe_returns_the_fit():
    points = torch.from_numpy(cube(2)).float()
    values, found = (
        fractal_dimension(points, alpha=1.0, num_repeats=3, seed=4),
        ph_dimension(points, seed=4, num_repeats=3),
    )
    assert (values["dimension"], values["slope"], values["residual"]) == (
        found.dimension,
        found.slope,
        found.residual,
    )
    assert values["reliable"] == 1
    assert values["weighted_sum"] == weighted_lifetime_sum(points)
    assert values["num_points"] == 1000
    assert fractal_dimension(torch.from_numpy(gaussian(99)))["reliable"] == 0
    assert torch.equal(values["sizes"], torch.from_numpy(found.sizes))
    assert torch.equal(values["weighted_sums"], torch.from_numpy(found.weighted_sums))
    assert fractal_dimension(points.reshape(-1, 2, 1), num_repeats=3, seed=4)["dimension"] == found.dimension


def test_a_matrix_of_distances_gives_what_its_points_give():
    points = cube(2)[:300]
    matrix = distances(points)
    found, expected = ph_dimension(matrix, metric="precomputed"), ph_dimension(points)
    assert np.array_equal(found.weighted_sums, expected.weighted_sums)
    assert weighted_lifetime_sum(matrix, 1.5, metric="precomputed") == weighted_lifetime_sum(points, 1.5)


def test_the_loss_based_metric_of_a_known_set():
    """Losses of 50 examples that are affine in a point of the square: ρ_S comes from a norm of the plane."""
    losses = 3 + cube(2) @ np.random.default_rng(1).standard_normal((2, 50))
    found = ph_dimension(losses, metric="mean_absolute")
    assert found.dimension == pytest.approx(1.96, abs=0.08)
    matrix = cdist(losses, losses, "cityblock") / 50
    assert found.weighted_sums[0, -1] == pytest.approx(
        ph_dimension(matrix, metric="precomputed").weighted_sums[0, -1], rel=1e-12
    )


def test_the_0_1_metric_of_errors_that_differ_in_one_example_from_step_to_step():
    """Errors that grow one by one lie on a line at equal gaps of 1/N: E_α = (T − 1)/N^α."""
    errors = torch.tril(torch.ones(1000, 1000), -1).bool()
    assert weighted_lifetime_sum(errors, 2.0, metric="mean_absolute") == pytest.approx(999 / 1000**2, rel=1e-12)
    twice = torch.repeat_interleave(errors, 2, 0)[np.random.default_rng(0).permutation(2000)]
    values = fractal_dimension(twice, metric="mean_absolute")
    assert values["weighted_sum"] == pytest.approx(0.999, rel=1e-12)
    assert values["num_points"] == 1000
    assert values["dimension"] == pytest.approx(1.005, abs=0.004)  # as of 1,000 points of an interval


def test_too_few_different_errors_have_a_sum_but_no_dimension():
    errors = torch.zeros(500, 9).bool()
    assert fractal_dimension(errors, metric="mean_absolute") == {
        "weighted_sum": 0, "num_points": 1, "reliable": False,
    }  # fmt: skip
    errors[250:, :3] = True
    assert fractal_dimension(errors, metric="mean_absolute")["weighted_sum"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least 20 different ones"):
        ph_dimension(errors, metric="mean_absolute")
    with pytest.raises(ValueError, match="at least 20 different ones"):  # too few were recorded
        fractal_dimension(errors[:19], metric="mean_absolute")


def test_the_probe_keeps_its_contract():
    points, data = torch.from_numpy(cube(2)[:100]), Split(torch.zeros(1, 2), torch.zeros(1).long())
    check_probe(lambda model, split: fractal_dimension(points), nn.Linear(2, 2), data)


def test_points_that_are_alike_count_once():
    square = np.random.default_rng(0).random((500, 2))
    twice = np.repeat(square, 2, axis=0)
    once, doubled = ph_dimension(square), ph_dimension(twice)
    assert doubled.sizes.tolist() == once.sizes.tolist()
    assert doubled.dimension == pytest.approx(once.dimension, rel=1e-9)
