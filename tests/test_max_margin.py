"""The hard-margin SVM against closed forms, scikit-learn and its own certificate; what isn't separable."""

import numpy as np
import pytest
from sklearn.svm import SVC

from atml_exp.max_margin import logistic_offset, max_margin, max_margin_inf

RNG = np.random.default_rng(0)


def clouds(n: int = 40, d: int = 5, apart: float = 6.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1, -1)
    return rng.standard_normal((n, d)) + apart / 2 * y[:, None] * np.eye(d)[0], y


def test_one_point_gives_itself_over_its_squared_norm():
    x = np.array([[3.0, 4.0]])
    found = max_margin(x, [-1])
    np.testing.assert_allclose(found.w, -x[0] / 25, rtol=1e-14)
    assert found.margin == pytest.approx(5, rel=1e-14)
    assert found.dual.tolist() == pytest.approx([1 / 25])


def test_two_points_with_a_bias_are_halved():
    """Points opposite each other need no bias, penalised or not."""
    a = np.array([1.0, -2.0, 0.5])
    found = max_margin([a, -a], [1, -1])
    np.testing.assert_allclose(found.w, a / (a @ a), rtol=1e-14)
    with_bias = max_margin(np.c_[[a, -a], [1, 1]], [1, -1])
    np.testing.assert_allclose(with_bias.w, np.append(found.w, 0), atol=1e-15)


def test_clouds_that_mirror_each_other_give_the_axis():
    up = RNG.standard_normal((30, 2)) + np.array([5, 0])
    x = np.concatenate([up, up * [1, -1], -up, -up * [1, -1]])
    y = np.repeat([1, 1, -1, -1], 30)
    np.testing.assert_allclose(max_margin(x, y).w, [1 / up[:, 0].min(), 0], atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(40, 2), (60, 10), (20, 100)])
def test_scikit_learn_finds_the_same(n, d):
    """Mirrored at the origin the best bias is 0, so that its being free makes no difference."""
    x, y = clouds(n, d, apart=9)
    found = max_margin(x, y)
    theirs = SVC(kernel="linear", C=1e10, tol=1e-10).fit(np.concatenate([x, -x]), np.concatenate([y, -y]))
    np.testing.assert_allclose(found.w, theirs.coef_[0], atol=1e-6 * np.linalg.norm(found.w))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("n", "d"), [(1, 4), (40, 2), (300, 20), (30, 200)])
def test_the_certificate(n, d, scale):
    x, y = clouds(n, d, apart=9)
    found = max_margin(scale * x, y)
    signed = scale * y[:, None] * x
    assert found.gap < 1e-12
    assert (found.dual >= 0).all()
    assert (signed @ found.w).min() >= 1 - 1e-12
    np.testing.assert_allclose(signed.T @ found.dual, found.w, rtol=1e-10, atol=1e-12 * np.linalg.norm(found.w))
    assert found.dual.sum() == pytest.approx(found.w @ found.w, rel=1e-10)
    assert np.abs(found.dual * (signed @ found.w - 1)).max() < 1e-10 * found.dual.max()


def test_it_turns_with_the_data_and_points_behind_the_margin_change_nothing():
    x, y = clouds()
    found = max_margin(x, y)
    q = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
    np.testing.assert_allclose(max_margin(x @ q, y).w, found.w @ q, atol=1e-12)
    more = np.concatenate([x, 3 * x])
    np.testing.assert_allclose(max_margin(more, np.concatenate([y, y])).w, found.w, atol=1e-12)


def test_no_direction_has_a_larger_margin_in_either_norm():
    x, y = clouds(d=3)
    signed = y[:, None] * x
    near = max_margin(x, y).w + 0.02 * RNG.standard_normal((5000, 3))
    others = np.concatenate([RNG.standard_normal((5000, 3)), near])
    margins = (signed @ others.T).min(0)
    assert (margins / np.linalg.norm(others, axis=1)).max() <= max_margin(x, y).margin + 1e-12
    w = max_margin_inf(x, y)
    assert (signed @ w).min() == pytest.approx(1)
    assert (margins / np.abs(others).max(1)).max() <= 1 / np.abs(w).max() + 1e-12


def test_the_offset_makes_the_support_vectors_pull_with_their_duals():
    x, y = clouds(d=2)
    found = max_margin(x, y)
    offset = logistic_offset(x, y, found)
    support = found.dual > 0
    pulls = np.exp(-(y[:, None] * x)[support] @ offset) / len(x)
    np.testing.assert_allclose(pulls, found.dual[support], rtol=1e-10)
    assert pulls.sum() == pytest.approx(found.w @ found.w)


def test_gradient_descent_arrives_at_the_line_with_that_offset():
    """Where all but the support vectors lie so far out that they don't pull: once on the line it stays there."""
    x, y = clouds(d=2)
    found = max_margin(x, y)
    x = np.where(found.dual[:, None] > 0, x, 5 * x)
    signed = y[:, None] * x
    offset = logistic_offset(x, y, found)
    start, rate = 1e4, 1.0
    w = found.w * np.log(start) + offset
    for _ in range(20_000):
        w = w + rate / len(x) * (np.exp(-signed @ w) @ signed)
    expected = found.w * np.log(start + 20_000) + offset
    assert np.abs(w - expected).max() < 1e-2 * np.abs(found.w * np.log(3)).max()


@pytest.mark.parametrize("solve", [max_margin, max_margin_inf])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0, 0.0], [2.0, 0.0]], [1, -1], "aren't separable by a hyperplane through the origin"),
        ([[0.0, 0.0]], [1], "aren't separable"),
        ([[1.0], [2.0]], [0, 1], "y holds 0: labels must be 1 or −1"),
        ([[1.0], [2.0]], [1], r"got \(2, 1\) and \(1,\)"),
        ([1.0, 2.0], [1, 1], r"got \(2,\) and \(2,\)"),
        (np.empty((0, 2)), [], "N ≥ 1"),
        ([[np.nan]], [1], "aren't finite"),
    ],
)
def test_refusals(solve, x, y, message):
    with pytest.raises(ValueError, match=message):
        solve(x, y)


def test_overlapping_clouds_are_refused():
    x, y = clouds(200, 2, apart=1.0)
    with pytest.raises(ValueError, match="aren't separable"):
        max_margin(x, y)
