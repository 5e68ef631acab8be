"""Projections against closed forms, a general solver and their defining inequality; descent within the sets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.projected_gd import ProjectedGD, onto, onto_simplex

G = torch.Generator().manual_seed(4)
SETS = ("ball", "box", "simplex", "l1_ball")
W = 2 * torch.randn(50, 6, generator=G, dtype=torch.float64)
H = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2, 0.1], dtype=torch.float64)
CENTRE = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 0.2], dtype=torch.float64)


class Bowl:
    """½ Σ h_i (w_i − c_i)²."""

    loss = torch.zeros(())

    def __call__(self, w):
        return H * (w - CENTRE)


def inside(u, name, r, slack=1e-12):
    return {
        "ball": u.norm(dim=-1) <= r + slack,
        "box": u.abs().amax(-1) <= r + slack,
        "simplex": (u.amin(-1) >= 0) & ((u.sum(-1) - r).abs() <= 10 * slack),
        "l1_ball": u.abs().sum(-1) <= r + 10 * slack,
    }[name]


@pytest.mark.parametrize("name", SETS)
def test_the_projection_lies_inside_and_no_other_point_is_nearer(name):
    """⟨w − Πw, u − Πw⟩ ≤ 0 for every u of a convex set, and only for the nearest point."""
    p = onto(W, name, 1.5)
    assert bool(inside(p, name, 1.5).all())
    others = onto(3 * torch.randn(400, 6, generator=G, dtype=torch.float64), name, 1.5)
    products = torch.einsum("np,nmp->nm", W - p, others[None] - p[:, None])
    assert products.max() <= 1e-10
    torch.testing.assert_close(onto(p, name, 1.5), p, atol=1e-12, rtol=0)


def test_closed_forms():
    w = torch.tensor([3.0, -4.0, 0.0])
    torch.testing.assert_close(onto(w, "ball", 2.0), 2 * w / 5)
    assert onto(w, "box", 3.5).tolist() == [3.0, -3.5, 0.0]
    assert onto(torch.tensor([2.0, 1.0]), "l1_ball", 1.0).tolist() == [1.0, 0.0]
    assert onto(torch.zeros(4), "simplex", 1.0).tolist() == [0.25] * 4
    inside_already = torch.tensor([0.1, -0.2])
    for name in ("ball", "box", "l1_ball"):
        assert torch.equal(onto(inside_already, name, 1.0), inside_already)


def test_the_simplex_against_a_general_solver():
    for w in W[:5].numpy():
        equal = {"type": "eq", "fun": lambda u: u.sum() - 1.5}
        start = np.full(6, 0.25)
        found = minimize(
            lambda u, w=w: ((u - w) ** 2).sum(),
            start,
            jac=lambda u, w=w: 2 * (u - w),
            bounds=[(0, None)] * 6,
            constraints=[equal],
            tol=1e-14,
        )
        np.testing.assert_allclose(onto_simplex(torch.from_numpy(w), 1.5), found.x, atol=1e-5)


def path(rule, w, steps):
    state = rule.init(w)
    for t in range(steps):
        w, state = rule.update(w, state, Bowl(), step=t, learning_rate=rule.learning_rate)
    return w


@pytest.mark.parametrize("name", SETS)
def test_descent_ends_where_no_allowed_direction_falls(name):
    w = path(ProjectedGD(1 / 3, name, 1.5), CENTRE, 3000)
    assert bool(inside(w, name, 1.5))
    others = onto(3 * torch.randn(400, 6, generator=G, dtype=torch.float64), name, 1.5)
    assert ((others - w) @ Bowl()(w)).min() >= -1e-9


def test_in_a_ball_the_minimum_has_a_multiplier():
    """h(w − c) + νw = 0 with ‖w‖ = r: ν from a scalar equation."""
    from scipy.optimize import brentq

    h, c = H.numpy(), CENTRE.numpy()
    nu = brentq(lambda v: np.linalg.norm(h * c / (h + v)) - 1.5, 0, 100, xtol=1e-14)
    np.testing.assert_allclose(path(ProjectedGD(1 / 3, "ball", 1.5), CENTRE, 3000), h * c / (h + nu), atol=1e-9)


def test_a_large_set_leaves_gradient_descent():
    torch.testing.assert_close(path(ProjectedGD(0.2, "ball", 100.0, 0.1), W[0], 30), path(GD(0.2, 0.1), W[0], 30))


@pytest.mark.parametrize("name", SETS)
def test_replicas_with_their_own_radius_equal_each_alone(name):
    rules = [ProjectedGD(0.2, name, 1.5), replace(ProjectedGD(0.1, name, 0.4), weight_decay=0.1)]
    together = path(stack(rules, like=W), W[:2], 20)
    for row, rule, start in zip(together, rules, W, strict=False):
        torch.testing.assert_close(row, path(rule, start, 20), rtol=1e-12, atol=1e-14)


def test_another_set_is_refused():
    with pytest.raises(ValueError, match="constraint = 'cube': allowed: ball"):
        onto(W, "cube", 1.0)
