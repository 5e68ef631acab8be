"""Minimum spanning trees against two independent libraries, against sets whose tree is known, and at the edge of
what float64 can tell apart."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from ripser import ripser
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from atml_exp.spanning_tree import as_points, lifetimes, pairwise_distances, tree_edges


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.filterwarnings("ignore:The input point cloud has more columns than rows")
@pytest.mark.parametrize("shape", [(200, 3), (60, 2000)])
def test_lifetimes_are_those_of_ripser(shape):
    died = ripser(normal(*shape), maxdim=0)["dgms"][0][:, 1]
    np.testing.assert_allclose(lifetimes(normal(*shape)), np.sort(died[np.isfinite(died)]), rtol=1e-6)  # float32


def test_edges_are_those_of_scipys_tree():
    distances = cdist(normal(150, 5), normal(150, 5))
    expected = np.sort(minimum_spanning_tree(distances).data)
    np.testing.assert_allclose(np.sort(tree_edges(distances)), expected, rtol=1e-12)


def test_points_on_a_line_give_their_gaps():
    gaps = np.random.default_rng(1).exponential(size=99)
    line = np.concatenate([[0.0], gaps.cumsum()])[:, None] * normal(1, 30)
    shuffled = np.random.default_rng(2).permutation(line)
    np.testing.assert_allclose(lifetimes(shuffled), np.sort(gaps) * np.linalg.norm(normal(1, 30)), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_lifetimes_scale_with_the_points_however_small_or_large(scale):
    np.testing.assert_allclose(lifetimes(scale * normal(50, 4)) / scale, lifetimes(normal(50, 4)), rtol=1e-9)


def test_lifetimes_do_not_change_under_rotation_translation_and_permutation():
    points = normal(100, 6)
    rotation = np.linalg.qr(normal(6, 6))[0]
    moved = np.random.default_rng(3).permutation(points) @ rotation + 1000
    np.testing.assert_allclose(lifetimes(moved), lifetimes(points), rtol=1e-9)


def test_close_pairs_in_a_wide_set_keep_their_distance():
    """The Gram matrix alone would give these pairs a distance of 0 or 1e-2."""
    points = np.concatenate([1e-6 * normal(40, 3), 1e6 + 1e-6 * normal(40, 3)])
    np.testing.assert_allclose(pairwise_distances(as_points(points)), cdist(points, points), rtol=1e-3)
    spread = np.concatenate([1e-3 * normal(40, 3), 1e6 + normal(40, 3)])
    np.testing.assert_allclose(pairwise_distances(as_points(spread)), cdist(spread, spread), rtol=1e-6)


def test_points_that_occur_twice_have_lifetime_zero():
    points = np.concatenate([normal(30, 3)] * 2)
    found = lifetimes(points)
    assert (found[:30] == 0).all()
    np.testing.assert_allclose(found[30:], lifetimes(normal(30, 3)), rtol=1e-12)


def test_tensors_in_any_precision_are_taken():
    points = torch.from_numpy(normal(30, 3)).float().requires_grad_()
    np.testing.assert_array_equal(lifetimes(points), lifetimes(points.detach().double().numpy()))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.ones((5, 2, 2)), "one point in each row; got shape \\(5, 2, 2\\)"),
        (np.ones((5, 0)), "one point in each row; got shape \\(5, 0\\)"),
        (np.ones((1, 3)), "at least 2; got 1"),
        (np.ones((7, 3)), "all 7 points are alike"),
        ([[0.0, float("nan")], [1.0, 2.0]], "NaN or infinity"),
        ([[0.0, float("inf")], [1.0, 2.0]], "NaN or infinity"),
        ([[0.0, -float("inf")], [1.0, float("inf")]], "NaN or infinity"),
    ],
)
def test_points_that_have_no_tree_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        lifetimes(points)


def test_memory_grows_with_the_points_not_with_their_differences():
    """600 points in 5,000 dimensions take 24 MB; all their differences would take 14 GB."""
    code = "import numpy as np; from atml_exp.spanning_tree import lifetimes; lifetimes(np.{0})"
    points = "concatenate([np.random.default_rng(0).standard_normal((300, 5000))] * 2)"  # 300 pairs measured anew
    assert peak(code.format(points)) - peak(code.format("eye(3)")) < 500e6


def peak(code: str) -> int:
    """Peak memory in bytes of a process that runs this code."""
    measure = "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code + measure], capture_output=True, text=True, check=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
