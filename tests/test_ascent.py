"""Ascent within convex sets, where the maximum is known."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.ascent import ascend, random_starts
from atml_exp.mean_loss import MeanLoss


class Point(nn.Module):
    """Its output is its weights."""

    def __init__(self, *w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x), -1)


def of(function, *w: float) -> MeanLoss:
    return MeanLoss(Point(*w), lambda o, y: function(o[0]), torch.zeros(1, 1), torch.zeros(1))


def ball(radius: float):
    return lambda g: radius * g / g.norm() if g.norm() > 0 else g


def box(reach: float):
    return lambda g: reach * torch.sign(g)


A = torch.tensor([[3.0, 1.0], [1.0, -2.0]]).double()


def test_linear_losses_are_exact_after_one_step():
    g = torch.tensor([3.0, -4.0]).double()
    for farthest, truth in ((ball(0.5), 2.5), (box(0.5), 3.5)):
        found = ascend(of(lambda w: g @ w, 1.0, 7.0), farthest)
        assert found.rise == pytest.approx(truth, rel=1e-12)
        assert found.first == pytest.approx(truth, rel=1e-12)


def test_a_quadratic_in_a_ball_is_half_the_squared_radius_times_the_largest_eigenvalue():
    """Also where another eigenvalue is negative."""
    loss = of(lambda w: w @ A @ w / 2, 0.0, 0.0)
    found = ascend(loss, ball(0.1), random_starts(ball(0.1), loss.w, 2, 0), tolerance=1e-12)
    assert found.rise == pytest.approx(0.005 * torch.linalg.eigvalsh(A)[-1].item(), rel=1e-8)
    assert found.offset.norm().item() == pytest.approx(0.1, rel=1e-12)


def test_a_stationary_point_stays_without_starts_and_has_no_first_step():
    found = ascend(of(lambda w: w @ A @ w / 2, 0.0, 0.0), ball(0.1))
    assert (found.rise, found.first) == (0.0, 0.0)


def test_a_maximum_inside_the_set_is_found_by_shorter_steps():
    """−(w − ¼)² on |w| ≤ 1 from 0: the full step would fall."""
    found = ascend(of(lambda w: -((w - 0.25) ** 2).sum(), 0.0), box(1.0), num_iterations=200, tolerance=0)
    assert found.first < 0
    assert found.rise == pytest.approx(1 / 16, rel=1e-3)
    assert found.rise <= 1 / 16


def test_the_rise_is_never_negative_and_never_above_the_maximum():
    peak = of(lambda w: -w.square().sum(), 0.0, 0.0)
    assert ascend(peak, ball(1.0), random_starts(ball(1.0), peak.w, 3, 0)).rise <= 0
    assert ascend(peak, ball(1.0)).rise == 0


def test_every_point_lies_in_the_set():
    found = ascend(of(lambda w: (w.sin() * torch.tensor([1.0, 2.0])).sum(), 0.3, 2.0), box(0.7), num_iterations=30)
    assert found.offset.abs().max() <= 0.7
    assert found.rise > 0


def test_starts_are_drawn_by_the_seed():
    like = torch.zeros(5, dtype=torch.float64)
    one, same, other = (random_starts(ball(2.0), like, 2, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.stack(one), torch.stack(same))
    assert not torch.equal(torch.stack(one), torch.stack(other))
    assert [point.norm().item() for point in one] == pytest.approx([2, 2])


def test_a_loss_that_is_not_finite_in_the_set_is_refused():
    with pytest.raises(ValueError, match="the loss is inf within the set that is searched: choose a smaller one"):
        ascend(of(lambda w: (1000 * w).exp().sum(), 0.0), box(1.0))
