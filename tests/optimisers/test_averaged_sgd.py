"""Averages of iterates: by hand, from the replica's own seed, and as good as theory says."""

import pytest
import torch

from atml_exp.layout import Layout
from atml_exp.optimisers.averaged_sgd import AveragedSGD
from atml_exp.optimisers.noisy_gd import NoisyGD
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.sgd import SGD


class Quadratic:
    """½Σh_i w_i²."""

    layout = Layout(("w",), (torch.Size([3]),))
    loss = torch.zeros(())

    def __init__(self, h, seeds=(0,)):
        self.h, self.seeds = torch.as_tensor(h, dtype=torch.float64), seeds

    def __call__(self, w):
        return self.h * w


H = [4.0, 1.0, 0.5]
W0 = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def path(rule, w, steps, gradient):
    state, found = rule.init(w), []
    for t in range(steps):
        w, state = rule.update(w, state, gradient, step=t, learning_rate=rule.learning_rate)
        found.append(w)
    return torch.stack(found)


@pytest.mark.parametrize(("noise", "plain"), [(0.0, SGD(0.1, 0.02)), (0.3, NoisyGD(0.1, 0.02, 0.3))])
def test_it_is_the_running_mean_of_the_plain_rules_iterates(noise, plain):
    iterates = path(plain, W0, 30, Quadratic(H))
    means = iterates.cumsum(0) / torch.arange(1, 31)[:, None]
    torch.testing.assert_close(path(AveragedSGD(0.1, 0.02, noise), W0, 30, Quadratic(H)), means)


def test_replicas_draw_from_their_own_seeds():
    rules = [AveragedSGD(0.1, 0.0, s) for s in (0.3, 0.1)]
    together = path(stack(rules, like=torch.stack([W0, W0])), torch.stack([W0, W0]), 20, Quadratic(H, (5, 6)))
    for r, (rule, seed) in enumerate(zip(rules, (5, 6), strict=True)):
        torch.testing.assert_close(together[:, r], path(rule, W0, 20, Quadratic(H, (seed,))))


@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_its_error_is_the_best_whatever_the_step_size(rate):
    """s²/(h²t), with the transient's part 1/(ηht)² forgotten and a correction of order 1/(ηht)."""
    t, h, s, d = 2000, 1.0, 0.7, 4000
    found = path(AveragedSGD(rate, 0.0, s), torch.zeros(d, dtype=torch.float64), t, Quadratic([h]))[-1]
    expected = s**2 / (h**2 * t)
    assert found.square().mean().item() == pytest.approx(expected, rel=4 * (2 / d) ** 0.5 + 2 / (rate * t))
