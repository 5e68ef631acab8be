"""ISTA and FISTA against scikit-learn's lasso, a closed form, their theorems' bounds, and over replicas."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, Lasso

from atml_exp.optimisers.accelerated import Accelerated
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.proximal_gd import ProximalGD, soft_threshold

G = torch.Generator().manual_seed(3)
N, D = 40, 8
X = torch.randn(N, D, generator=G, dtype=torch.float64)
Y = X[:, 0] - 2 * X[:, 3] + 0.3 * torch.randn(N, generator=G, dtype=torch.float64)
L = float(torch.linalg.eigvalsh(X.T @ X / N)[-1])


class LeastSquares:
    """The gradient of (1/2N)‖Xw − y‖² for w (..., D)."""

    loss = torch.zeros(())

    def __call__(self, w):
        return (w @ X.T - Y) @ X / N


def path(rule, steps, w=None):
    w = torch.zeros(D, dtype=torch.float64) if w is None else w
    state, found = rule.init(w), [w]
    for t in range(steps):
        w, state = rule.update(w, state, LeastSquares(), step=t, learning_rate=rule.learning_rate)
        found.append(w)
    return found


def objective(w, l1):
    return float((X @ w - Y).square().mean() / 2 + l1 * w.abs().sum())


@pytest.mark.parametrize("accelerated", [False, True])
def test_the_lasso_as_scikit_learn_has_it(accelerated):
    theirs = Lasso(alpha=0.2, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X.numpy(), Y.numpy()).coef_
    ours = path(ProximalGD(1 / L, 0.2, accelerated=accelerated), 1500)[-1]
    np.testing.assert_allclose(ours, theirs, atol=1e-8)
    assert 0 < np.count_nonzero(theirs) < D
    assert np.array_equal(ours.numpy() == 0, theirs == 0)


def test_with_both_penalties_the_elastic_net():
    net = ElasticNet(alpha=0.5, l1_ratio=0.4, fit_intercept=False, tol=1e-14, max_iter=100_000)
    theirs = net.fit(X.numpy(), Y.numpy()).coef_  # alpha·l1_ratio and alpha·(1 − l1_ratio)
    np.testing.assert_allclose(path(ProximalGD(1 / (L + 0.3), 0.2, 0.3), 1500)[-1], theirs, atol=1e-8)


def test_the_threshold_solves_its_own_problem():
    w = torch.linspace(-3, 3, 41, dtype=torch.float64)
    found = soft_threshold(w, 0.7)
    u = torch.linspace(-4, 4, 8001, dtype=torch.float64)[:, None]
    best = u[((u - w).square() / 2 + 0.7 * u.abs()).argmin(0), 0]
    torch.testing.assert_close(found, best, atol=1e-3, rtol=0)
    assert bool((soft_threshold(w, 5.0) == 0).all())


def test_both_keep_their_bounds_from_the_first_step_on():
    l1 = 0.1
    best = path(ProximalGD(1 / L, l1, accelerated=True), 4000)[-1]
    radius, least = float(best.square().sum()), objective(best, l1)
    slow, fast = (path(ProximalGD(1 / L, l1, accelerated=a), 60) for a in (False, True))
    for n in range(1, 61):
        assert objective(slow[n], l1) - least <= L * radius / (2 * n) + 1e-12
        assert objective(fast[n], l1) - least <= 2 * L * radius / (n + 1) ** 2 + 1e-12


def test_without_a_penalty_they_are_gradient_descent_and_acceleration():
    torch.testing.assert_close(path(ProximalGD(0.1, 0.0, 0.05), 20)[-1], path(GD(0.1, 0.05), 20)[-1])
    fast = path(ProximalGD(0.1, 0.0, accelerated=True), 20)[-1]
    torch.testing.assert_close(fast, path(Accelerated(0.1), 20)[-1])


@pytest.mark.parametrize("accelerated", [False, True])
def test_replicas_with_their_own_numbers_equal_each_alone(accelerated):
    one = ProximalGD(0.1, 0.2, 0.0, accelerated)
    rules = [one, replace(one, learning_rate=0.3, l1=0.02, weight_decay=0.1)]
    starts = torch.randn(2, D, generator=G, dtype=torch.float64)
    together = path(stack(rules, like=starts), 30, starts)[-1]
    for row, rule, start in zip(together, rules, starts, strict=True):
        torch.testing.assert_close(row, path(rule, 30, start)[-1], rtol=1e-12, atol=1e-14)


def test_kinds_do_not_stack():
    with pytest.raises(ValueError, match="differ in accelerated"):
        stack([ProximalGD(), ProximalGD(accelerated=True)], like=X)
