"""Separability by construction, and where the largest margin's solver agrees."""

import numpy as np
import pytest

from atml_exp.max_margin import max_margin
from atml_exp.separability import is_separable, separation

RNG = np.random.default_rng(0)


def labelled(n, d, gap=0.0, seed=0):
    """Points at least `gap` from a hyperplane through 0, and their sides."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d)
    w /= np.linalg.norm(w)
    x = rng.normal(size=(n, d))
    x += np.sign(x @ w)[:, None] * gap * w
    return x, (x @ w > 0).astype(int), w


@pytest.mark.parametrize(("n", "d"), [(20, 2), (100, 5), (300, 40)])
def test_a_hyperplane_is_found_and_one_wrong_label_deep_inside_undoes_it(n, d):
    x, y, _ = labelled(n, d, gap=0.05)
    assert is_separable(x, y)
    deep = np.concatenate([x, 0.5 * (x[y == 1].mean(0) + x[y == 1][0])[None]])
    assert separation(deep, np.append(y, 0)) == "none"


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_examples_does_not_matter(scale):
    x, y, _ = labelled(30, 3, gap=0.01)
    x = x * np.geomspace(1, scale, 30)[:, None]
    assert is_separable(x, y)
    assert not is_separable(np.concatenate([x, -x[:1]]), np.append(y, y[0]))


def test_touching_classes_are_separated_in_part():
    x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    assert separation(x, [1, 1, 1, 0]) == "quasi-complete"
    assert not is_separable(x, [1, 1, 1, 0])
    assert separation(x, [1, 1, 1, 1]) == "none"


def test_more_dimensions_than_examples_are_always_separable():
    """Any labels of points in general position (Cover 1965)."""
    x = RNG.normal(size=(10, 10))
    assert all(is_separable(x, RNG.integers(0, 2, 10)) for _ in range(5))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([[1.0], [2.0]], [1, 2], "labels must be 0 or 1"),
        ([1.0, 2.0], [1, 0], r"got \(2,\) and \(2,\)"),
        (np.zeros((0, 2)), [], "N ≥ 1"),
    ],
)
def test_refusals(x, y, words):
    with pytest.raises(ValueError, match=words):
        separation(x, y)


def test_an_example_at_zero_is_never_separated():
    assert separation([[0.0, 0.0], [1.0, 0.0]], [1, 1]) == "quasi-complete"


@pytest.mark.parametrize("seed", range(12))
def test_it_agrees_with_the_solver_of_the_largest_margin(seed):
    """Which says no in its own way, by a residual of 0."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 5)), rng.integers(0, 2, 12)
    try:
        found = max_margin(x, 2 * y - 1).margin > 0
    except ValueError:
        found = False
    assert is_separable(x, y) == found
