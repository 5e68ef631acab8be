"""Minima against scikit-learn, their own optimality conditions, and descent; Pegasos against the exact SVM."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.svm import SVC, LinearSVC

from atml_exp.batches import Batches
from atml_exp.convex import minimise, objective
from atml_exp.data import Split
from atml_exp.losses.hinge import hinge
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.schedules.inverse_time import inverse_time
from atml_exp.optimisers.sgd import SGD
from atml_exp.population import assemble, update

RNG = np.random.default_rng(1)
N, D = 80, 5
X = RNG.normal(size=(N, D))
SCORES = X @ np.array([1.0, -2.0, 0.5, 0.0, 0.0])
Y = (SCORES + RNG.normal(size=N) > 0).astype(int)
T = SCORES + 0.3 * RNG.normal(size=N)
SIGNED = (2 * Y - 1)[:, None] * X


@pytest.mark.parametrize("l2", [1.0, 0.1, 1e-3])
def test_svm_as_scikit_learn_has_it(l2):
    """½‖w‖² + C Σ hinge with C = 1/(λN): their objective is ours over λ."""
    found = minimise("hinge", X, Y, l2=l2)
    theirs = LinearSVC(loss="hinge", C=1 / (l2 * N), fit_intercept=False, tol=1e-7, max_iter=100_000).fit(X, Y)
    value = objective("hinge", X, Y, theirs.coef_, l2=l2)
    assert found.value <= value + 1e-14
    assert found.value == pytest.approx(value, rel=1e-6)
    assert found.certificate < 1e-12
    np.testing.assert_allclose(found.weights[:, 0], theirs.coef_[0], atol=1e-3)


def test_a_penalised_offset_is_a_constant_feature_and_the_dual_is_libsvms():
    """On data with their mirror images libsvm's free offset is 0."""
    both, sides = np.concatenate([X, -X]), np.concatenate([Y, 1 - Y])
    theirs = SVC(kernel="linear", C=1 / (0.05 * 2 * N), tol=1e-9).fit(both, sides)
    ones = np.ones((2 * N, 1))
    found = minimise("hinge", np.hstack([both, ones]), sides, l2=0.05)
    np.testing.assert_allclose(found.weights[:-1, 0], theirs.coef_[0], atol=1e-6)
    assert abs(found.weights[-1, 0]) < 1e-8


@pytest.mark.parametrize("l2", [1.0, 1e-2, 0.0])
def test_logistic_regression_as_scikit_learn_has_it(l2):
    found = minimise("logistic", X, Y, l2=l2)
    penalty = {"C": 1 / (l2 * N)} if l2 else {"C": np.inf}
    theirs = LogisticRegression(fit_intercept=False, tol=1e-12, solver="newton-cholesky", **penalty).fit(X, Y)
    np.testing.assert_allclose(found.weights[:, 0], theirs.coef_[0], rtol=1e-6, atol=1e-8)
    assert found.value == pytest.approx(objective("logistic", X, Y, theirs.coef_, l2=l2), rel=1e-9)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_ridge_as_scikit_learn_has_it(l2):
    several = np.stack([T, T**2], 1)
    found = minimise("mse", X, several, l2=l2)
    theirs = Ridge(alpha=N * l2, fit_intercept=False, tol=1e-14).fit(X, several).coef_
    np.testing.assert_allclose(found.weights, theirs.T, rtol=1e-9)


@pytest.mark.parametrize("l1", [1.0, 0.1, 1e-3])
def test_lasso_as_scikit_learn_has_it(l1):
    found = minimise("mse", X, T, l1=l1)
    theirs = Lasso(alpha=l1, fit_intercept=False, tol=1e-15, max_iter=100_000).fit(X, T).coef_
    np.testing.assert_allclose(found.weights[:, 0], theirs, atol=1e-8)
    assert found.certificate < 1e-12


def test_an_l1_penalty_beyond_the_largest_slope_leaves_nothing():
    most = np.abs(X.T @ T).max() / N
    assert not minimise("mse", X, T, l1=1.001 * most).weights.any()
    assert minimise("mse", X, T, l1=0.999 * most).weights.any()


CASES = [
    ("mse", {"l2": 0.1}),
    ("mse", {"l1": 0.1}),
    ("mse", {"l1": 0.1, "l2": 0.2}),
    ("logistic", {"l2": 0.1}),
    ("logistic", {}),
    ("hinge", {"l2": 0.1}),
]


@pytest.mark.parametrize(("loss", "penalties"), CASES)
def test_no_other_point_is_lower_and_f_grows_as_it_must(loss, penalties):
    """f(w) ≥ f* + ½μ‖w − w*‖², and below ½L‖w − w*‖² where f is smooth and there is no kink."""
    y = T if loss == "mse" else Y
    found = minimise(loss, X, y, **penalties)
    assert objective(loss, X, y, found.weights, **penalties) == pytest.approx(found.value, rel=1e-14)
    for size in (1e-4, 1e-2, 1.0, 10.0):
        for _ in range(20):
            step = size * RNG.normal(size=D)
            rise = objective(loss, X, y, found.weights[:, 0] + step, **penalties) - found.value
            assert rise >= 0.5 * found.strong_convexity * step @ step - 1e-12
            if found.smoothness is not None and "l1" not in penalties:
                assert rise <= 0.5 * found.smoothness * step @ step * (1 + 1e-9) + 1e-12


def test_the_constants_are_those_of_the_hessian():
    hessian = X.T @ X / N
    low, high = np.linalg.eigvalsh(hessian)[[0, -1]]
    ridge, logit = minimise("mse", X, T, l2=0.1), minimise("logistic", X, Y, l2=0.1)
    assert (ridge.smoothness, ridge.strong_convexity) == pytest.approx((high + 0.1, low + 0.1))
    assert (logit.smoothness, logit.strong_convexity) == pytest.approx((high / 4 + 0.1, 0.1))
    assert minimise("hinge", X, Y, l2=0.1).smoothness is None
    assert minimise("mse", X[:3], T[:3]).strong_convexity == 0
    assert not minimise("mse", X[:3], T[:3]).unique


def test_torchs_losses_have_the_same_conventions():
    w = RNG.normal(size=(D, 1))
    outputs = torch.from_numpy(X @ w)
    for loss, y in ((mse, T), (logistic, Y), (hinge, Y)):
        assert objective(loss.__name__, X, y, w) == pytest.approx(
            loss(outputs, torch.from_numpy(y)).item(), rel=1e-12
        )


@pytest.mark.parametrize(
    ("arguments", "penalties", "words"),
    [
        (("cross_entropy", X, Y), {}, "its minimum isn't known; allowed: mse"),
        (("hinge", X, Y), {}, "hinge without a penalty"),
        (("logistic", X, Y), {"l1": 0.1}, "allowed with mse"),
        (("mse", X, T), {"l2": -1.0}, "at least 0"),
        (("mse", X, T[:3]), {}, r"got \(80, 5\) and \(3,\)"),
        (("logistic", X, (SCORES > 0).astype(int)), {}, r"separable \(complete\).*no minimiser"),
        (("hinge", X, 2 * Y), {"l2": 0.1}, "labels must be 0 or 1"),
        (("logistic", [[1.0], [0.0]], [1, 0]), {}, "quasi-complete"),
    ],
)
def test_refusals(arguments, penalties, words):
    with pytest.raises(ValueError, match=words):
        minimise(*arguments, **penalties)


def test_what_cannot_be_certified_is_refused():
    x, y = RNG.normal(size=(50, 2)), RNG.integers(0, 2, 50)
    with pytest.raises(ValueError, match=r"duality gap of .* only"):
        minimise("hinge", x, y, l2=1e-9)


def descended(rule, loss_fn, y, steps, batch_size=None, rate=lambda t: 1.0):
    model = linear((D,), 1, bias=False, initialisation="zeros").double()
    population = assemble([model], (0,))
    population = type(population)(**{**population.__dict__, "state": rule.init(population.w)})
    batches = Batches([Split(torch.from_numpy(X), torch.from_numpy(y))], (0,), batch_size)
    mean = torch.zeros_like(population.w)
    for t in range(steps):
        population = update(population, rule, loss_fn, batches(t), rule.learning_rate * rate(t))
        mean += population.w * 2 * (t + 1) / (steps * (steps + 1))  # weighted by t: Lacoste-Julien et al. 2012
    return population.w.numpy(), mean.numpy()


def test_pegasos_reaches_the_svm():
    """Steps of 1/(λt) on single examples (Shalev-Shwartz et al. 2007), the mean of its iterates to 1e-3."""
    l2 = 0.1
    decay = lambda t: inverse_time(t, 1, decay=1.0)  # noqa: E731
    last, mean = descended(SGD(1 / l2, l2), hinge, Y, 8000, 1, decay)
    best = minimise("hinge", X, Y, l2=l2).value
    assert objective("hinge", X, Y, mean, l2=l2) == pytest.approx(best, rel=1e-3)
    assert objective("hinge", X, Y, last, l2=l2) == pytest.approx(best, rel=2e-2)
    whole, _ = descended(SGD(1 / l2, l2), hinge, Y, 4000, None, decay)
    assert objective("hinge", X, Y, whole, l2=l2) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(("loss_fn", "y"), [(logistic, Y), (mse, T)])
def test_gradient_descent_reaches_the_minimum(loss_fn, y):
    w, _ = descended(GD(0.4, 0.1), loss_fn, y, 1500)
    found = minimise(loss_fn.__name__, X, y, l2=0.1)
    np.testing.assert_allclose(w, found.weights[:, 0], rtol=1e-6, atol=1e-9)
    assert objective(loss_fn.__name__, X, y, w, l2=0.1) == pytest.approx(found.value, abs=1e-12)
