"""Separability by construction; the largest margin against its closed forms and scikit-learn's SVM."""

import numpy as np
import pytest
from sklearn.svm import SVC

from atml_exp.separability import hard_margin, is_separable, separation

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
    with pytest.raises(ValueError, match="no hyperplane"):
        hard_margin(x, [1, 1, 1, 0])


def test_more_dimensions_than_examples_are_always_separable():
    """Any labels of points in general position (Cover 1965)."""
    x = RNG.normal(size=(10, 10))
    assert all(is_separable(x, RNG.integers(0, 2, 10)) for _ in range(5))


def test_the_margin_is_that_of_a_very_hard_svm():
    for seed in range(4):
        x, y, _ = labelled(40, 3, gap=0.1, seed=seed)
        both, sides = np.concatenate([x, -x]), np.concatenate([y, 1 - y])  # symmetric, so that its offset is 0
        svm = SVC(kernel="linear", C=1e8, tol=1e-10).fit(both, sides)
        found = hard_margin(x, y)
        assert found.margin == pytest.approx(1 / np.linalg.norm(svm.coef_), rel=1e-6)
        np.testing.assert_allclose(found.direction, svm.coef_[0] / np.linalg.norm(svm.coef_), atol=1e-5)


def test_no_other_direction_has_a_larger_margin_and_rotations_change_nothing():
    x, y, _ = labelled(40, 3, gap=0.1)
    found = hard_margin(x, y)
    signs = 2 * y - 1
    assert (signs * (x @ found.direction)).min() == pytest.approx(found.margin, rel=1e-12)
    others = found.direction + 0.05 * RNG.normal(size=(500, 3))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (signs[:, None] * (x @ others.T)).min(0).max() <= found.margin
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    turned = hard_margin(100 * x @ turn, y)
    assert turned.margin == pytest.approx(100 * found.margin, rel=1e-9)
    np.testing.assert_allclose(turned.direction, found.direction @ turn, atol=1e-8)


def test_in_closed_form():
    assert hard_margin([[1.0, 2.0]], [0]).margin == pytest.approx(5**0.5)
    two = hard_margin([[3.0, 1.0], [-3.0, 1.0]], [1, 0])
    assert two.margin == pytest.approx(3)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([[1.0], [2.0]], [1, 2], "labels must be 0 or 1"),
        ([1.0, 2.0], [1, 0], r"got \(2,\) and \(2,\)"),
        (np.zeros((0, 2)), [], "N ≥ 1"),
        ([[0.0, 0.0], [1.0, 0.0]], [1, 1], "no hyperplane"),
    ],
)
def test_refusals(x, y, words):
    with pytest.raises(ValueError, match=words):
        hard_margin(x, y)
