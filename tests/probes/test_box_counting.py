"""Box counting on sets whose dimension is known, its invariances, and dimensions in which it would say nothing."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.box_counting import box_counting, box_counting_dimension

N = 100_000


def cube(dimension: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(0).random((n, dimension))


def sierpinski() -> np.ndarray:
    """The chaos game, 40 steps from a corner of the triangle."""
    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    choices = np.random.default_rng(0).integers(0, 3, (N, 40))
    return np.einsum("nkd,k->nd", corners[choices], 0.5 ** np.arange(1, 41))


def cantor(depth: int) -> np.ndarray:
    """The middle of each interval that is left after so many steps, and the ends of the first."""
    digits = np.stack(np.meshgrid(*[[0, 2]] * depth), -1).reshape(-1, depth)
    middles = (digits * 3.0 ** -np.arange(1, depth + 1)).sum(1) + 0.5 * 3.0**-depth
    return np.concatenate([[0.0], middles, [1.0]])[:, None]


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_cubes(dimension):
    found = box_counting_dimension(cube(dimension))
    assert found.dimension == pytest.approx(dimension, abs=0.005)
    assert found.reliable


def test_sierpinski_triangle():
    """log 3/log 2. Boxes of a square grid that the triangle's sides cross add a few per cent to the counts."""
    assert box_counting_dimension(sierpinski()).dimension == pytest.approx(1.585, abs=0.03)


def test_cantor_set():
    """2^k intervals of 3^−k: log 2/log 3, below the 1 that the dimension of PH₀ reads at α = 1."""
    found = box_counting_dimension(cantor(12), [3**k for k in range(1, 9)])
    assert found.counts.tolist() == [2**k for k in range(1, 9)]
    assert found.dimension == pytest.approx(np.log(2) / np.log(3), abs=1e-9)


def test_counts_of_a_grid_are_exact():
    """4,096 cells of 1/64, a point in the middle of each, stretched so that the far corners lie on the edge."""
    axis = (np.arange(64) + 0.5) / 64
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    found = box_counting_dimension(np.concatenate([grid, [[0, 0], [1, 1]]]), [1, 2, 4, 8, 64])
    assert found.counts.tolist() == [1, 4, 16, 64, 4096]
    assert found.dimension == 2
    assert not found.reliable  # a point for each box


def test_a_curve_in_space_reads_1():
    t = np.linspace(0, 1, N)
    curve = np.stack([np.cos(5 * t), np.sin(5 * t), t], 1)
    assert box_counting_dimension(curve, [64, 128, 256, 512, 1024]).dimension == pytest.approx(1.0, abs=0.02)


def test_scale_translation_and_order_change_nothing():
    points, moved = cube(2, 5000), 2.0**40 * cube(2, 5000)[::-1] + 2.0**43
    assert np.array_equal(box_counting_dimension(moved).counts, box_counting_dimension(points).counts)


def test_few_points_are_not_reliable():
    assert not box_counting_dimension(cube(3, 500)).reliable


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (cube(6, 100), {}, "points have 6 dimensions: boxes can be counted in 5 at the most"),
        (cube(2, 19), {}, "at least 20 for counting boxes; got 19"),
        (np.full((100, 2), np.nan), {}, "NaN or infinity"),
        (np.ones((100, 2)), {}, "all 100 points are alike"),
        (cube(2, 100), {"divisions": [4]}, "at least two different whole numbers from 1"),
        (cube(2, 100), {"divisions": [0, 4]}, "at least two different whole numbers from 1"),
        (cube(2, 100), {"divisions": [1.5, 4]}, "at least two different whole numbers from 1"),
    ],
)
def test_what_boxes_say_nothing_of_is_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        box_counting_dimension(points, **options)


def test_the_probe_reads_the_principal_plane_and_keeps_its_contract():
    """As sklearn's axes, which may point the other way, so that the grid begins at another corner."""
    points = np.random.default_rng(0).standard_normal((3000, 10)) * [3, 2, *[0.1] * 8]
    rotated = points @ np.linalg.qr(np.random.default_rng(1).standard_normal((10, 10)))[0] + 5
    fit = PCA(2).fit(rotated)
    plane, recorded = fit.transform(rotated), torch.from_numpy(rotated)
    data = Split(torch.zeros(1, 2), torch.zeros(1).long())
    values = check_probe(lambda model, split: box_counting(recorded), nn.Linear(2, 2), data)
    ways = [box_counting_dimension(plane * signs) for signs in ([1, 1], [1, -1], [-1, 1], [-1, -1])]
    assert values["counts"].tolist() in [way.counts.tolist() for way in ways]
    assert values["explained"] == pytest.approx(fit.explained_variance_ratio_.sum())
    assert values["reliable"] == 1


def test_the_probe_refuses_many_components():
    with pytest.raises(ValueError, match="num_components means 6 dimensions"):
        box_counting(torch.from_numpy(cube(10, 100)), num_components=6)
