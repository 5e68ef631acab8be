"""The loop against the closed form of gradient descent on a quadratic, and its schedule, start and early end."""

import pytest
import torch
from torch import nn

from atml_exp.data import Split
from atml_exp.losses.mse import mse
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.optimiser import stack
from atml_exp.population import assemble
from atml_exp.train import Bench, fit

CURVATURES = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)


class Onlooker:
    """Keeps what it is shown."""

    def __init__(self, stop_at=None):
        self.steps, self.rates, self.ticks, self.stop_at = [], [], 0, stop_at

    def begin(self, population, total, steps_per_epoch, evaluate_every, *, measured=True):
        self.begun = (total, steps_per_epoch, evaluate_every)
        return population, False

    def end(self, population):
        self.ended = population.step

    def observe(self, population, learning_rate):
        self.steps.append(population.step)
        self.rates.append(learning_rate)

    def tick(self, population):
        self.ticks += 1

    @property
    def all_diverged(self):
        return self.stop_at is not None and max(self.steps, default=0) >= self.stop_at


def quadratic():
    """½MSE of a linear model on three orthogonal examples: Hessian diag(CURVATURES), minimum at 0."""
    return Split(torch.diag((3 * CURVATURES).sqrt()), torch.zeros(3, dtype=torch.float64))


def linear():
    model = nn.Linear(3, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return model


def trained(rates, schedules=None, steps=10, onlooker=None, **options):
    onlooker = onlooker or Onlooker()
    population = assemble([linear() for _ in rates], range(len(rates)))
    optimiser = stack([GD(r) for r in rates], like=population.w)
    schedules = schedules or [[] for _ in rates]
    bench = Bench([quadratic()] * len(rates), mse, optimiser, schedules, onlooker)
    return fit(bench, population, steps=steps, batch_size=None, **options), onlooker


def test_gradient_descent_on_a_quadratic_is_a_product():
    found, _ = trained([0.3])
    torch.testing.assert_close(found.w, (1 - 0.3 * CURVATURES) ** 10, rtol=1e-12, atol=0)


def test_replicas_have_rates_and_schedules_of_their_own():
    halving = [lambda step, total: 0.5**step]
    found, onlooker = trained([0.3, 0.1], [[], halving])
    constant = (1 - 0.3 * CURVATURES) ** 10
    decayed = torch.stack([1 - 0.1 * 0.5**t * CURVATURES for t in range(10)]).prod(0)
    torch.testing.assert_close(found.w, torch.stack([constant, decayed]), rtol=1e-12, atol=0)
    assert onlooker.rates[3].flatten().tolist() == pytest.approx([0.3, 0.1 / 8])


def test_schedules_multiply_and_see_the_length_of_the_training():
    twice = [lambda step, total: 1 - step / total, lambda step, total: 0.5]
    _, onlooker = trained([0.2], [twice], steps=4)
    assert onlooker.rates == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.0])


def test_every_step_is_looked_at_before_and_the_end_after():
    found, onlooker = trained([0.1], steps="5it")
    assert onlooker.steps == [0, 1, 2, 3, 4, 5]
    assert (found.step, onlooker.ticks, onlooker.begun) == (5, 5, (5, [1], "1ep"))


def test_a_population_that_has_diverged_is_not_trained_on():
    found, _ = trained([0.1], onlooker=Onlooker(stop_at=3))
    assert found.step == 3


def test_going_on_from_the_middle_gives_the_same():
    whole, _ = trained([0.3])
    half, _ = trained([0.3], steps=6)
    bench = Bench([quadratic()], mse, stack([GD(0.3)], like=half.w), [[]], Onlooker())
    rest = fit(bench, half, steps=10, batch_size=None)
    assert torch.equal(rest.w, whole.w)


def test_a_schedule_can_be_left_in_the_middle():
    falling = [[lambda step, total: 1 - step / total]]
    whole, all_steps = trained([0.3], falling)
    part, onlooker = trained([0.3], falling, until="4it")
    assert (part.step, onlooker.ended, onlooker.begun[0]) == (4, 4, 4)
    assert onlooker.rates == all_steps.rates[:5]
    bench = Bench([quadratic()], mse, stack([GD(0.3)], like=part.w), falling, Onlooker())
    assert torch.equal(bench(part, steps=10, batch_size=None).w, whole.w)
