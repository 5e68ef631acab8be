"""Injected noise: its distribution, its stationary variance on a quadratic, and whose seed draws it."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from atml_exp.layout import Layout
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.noisy_gd import NoisyGD
from atml_exp.optimisers.optimiser import stack

H = torch.tensor([4.0, 1.0, 0.5], dtype=torch.float64)


@dataclass
class Quadratic:
    """½Σh_i w_i²."""

    seeds: tuple[int, ...] = (0,)
    curvatures: Tensor = H
    layout = Layout(("w",), (torch.Size([3]),))
    loss = torch.zeros(())

    def __call__(self, w: Tensor) -> Tensor:
        return self.curvatures * w


def run(rule, w, steps, gradient, first=0):
    for t in range(first, first + steps):
        w, _ = rule.update(w, rule.init(w), gradient, step=t, learning_rate=rule.learning_rate)
    return w


def test_without_noise_it_is_gradient_descent():
    w = torch.ones(3, dtype=torch.float64)
    assert torch.equal(run(NoisyGD(0.1, 0.02, 0.0), w, 20, Quadratic()), run(GD(0.1, 0.02), w, 20, Quadratic()))


def test_one_step_adds_gaussian_noise_of_its_size():
    zero = torch.zeros(20_000, dtype=torch.float64)
    gradient = Quadratic((5,), torch.zeros(20_000, dtype=torch.float64))
    step = run(NoisyGD(0.1, 0.0, 3.0), zero, 1, gradient)
    assert step.std().item() == pytest.approx(0.3, rel=3 / (2 * 20_000) ** 0.5)
    assert abs(step.mean().item()) < 3 * 0.3 / 20_000**0.5
    other = run(NoisyGD(0.1, 0.0, 3.0), zero, 1, gradient, first=1)
    assert abs(torch.corrcoef(torch.stack([step, other]))[0, 1].item()) < 3 / 20_000**0.5


def test_stationary_variance_on_a_quadratic():
    """ηs²/(h(2 − ηh)) in 3,000 replicas of their own seeds: within three standard errors."""
    rule = NoisyGD(0.3, 0.0, 0.5)
    seeds = tuple(range(3000))
    found = run(rule, torch.zeros(3000, 3, dtype=torch.float64), 60, Quadratic(seeds)).square().mean(0)
    expected = 0.3 * 0.25 / (H * (2 - 0.3 * H)) * (1 - (1 - 0.3 * H) ** 120)  # the last: from 0, after 60 steps
    torch.testing.assert_close(found, expected, rtol=3 * (2 / 3000) ** 0.5, atol=0)


def test_a_replica_draws_from_its_own_seed_and_any_step_can_be_gone_on_from():
    rules = [NoisyGD(0.1, 0.0, 0.5), NoisyGD(0.2, 0.01, 0.1)]
    w = torch.ones(2, 3, dtype=torch.float64)
    together = run(stack(rules, like=w), w, 10, Quadratic((7, 8)))
    for r, rule in enumerate(rules):
        torch.testing.assert_close(together[r], run(rule, w[r], 10, Quadratic((7 + r,))), rtol=1e-13, atol=0)
    half = run(rules[0], w[0], 4, Quadratic((7,)))
    assert torch.equal(run(rules[0], half, 6, Quadratic((7,)), first=4), run(rules[0], w[0], 10, Quadratic((7,))))
    assert not torch.equal(run(rules[0], w[0], 10, Quadratic((7,))), run(rules[0], w[0], 10, Quadratic((8,))))


def test_global_random_state_neither_matters_nor_changes():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = run(replace(NoisyGD(), noise_std=1.0), torch.ones(3, dtype=torch.float64), 3, Quadratic())
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, run(NoisyGD(noise_std=1.0), torch.ones(3, dtype=torch.float64), 3, Quadratic()))
