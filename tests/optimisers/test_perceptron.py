"""Rosenblatt's rule written by hand, its mistakes, and replicas."""

import torch

from atml_exp.batches import Batch
from atml_exp.losses.perceptron import perceptron
from atml_exp.models.linear import linear
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.perceptron import Perceptron
from atml_exp.population import assemble, update

G = torch.Generator().manual_seed(2)
X = torch.randn(40, 3, generator=G, dtype=torch.float64)
Y = (X @ torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64) > 0).long()


def by_hand(order, rate):
    w, mistakes = torch.zeros(3, dtype=torch.float64), 0
    for i in order:
        sign = 2 * Y[i] - 1
        if sign * (w @ X[i]) <= 0:
            w, mistakes = w + rate * sign * X[i], mistakes + 1
    return w, mistakes


def trained(orders, rates):
    """R perceptrons, each with its own order of the examples."""
    models = [linear((3,), 1, bias=False, initialisation="zeros").double() for _ in orders]
    population = assemble(models, range(len(orders)))
    rule = stack([Perceptron(r) for r in rates], like=population.w)
    population = type(population)(**{**population.__dict__, "state": rule.init(population.w)})
    for i in zip(*orders, strict=True):
        index = torch.tensor(i)
        x, y = (X[index][:, None], Y[index][:, None]) if len(orders) > 1 else (X[index], Y[index])
        stacked = len(orders) > 1
        population = update(population, rule, perceptron, Batch(x, y, stacked, stacked), rule.learning_rate)
    return population


def test_it_is_rosenblatts_rule_and_counts_its_mistakes():
    order = [*range(40), *reversed(range(40)), *range(40)]
    w, mistakes = by_hand(order, 1.0)
    found = trained([order], [1.0])
    torch.testing.assert_close(found.w, w)
    assert found.state["mistakes"].item() == mistakes > 3


def test_replicas_equal_each_alone_and_the_step_size_only_scales():
    orders = [torch.randperm(40, generator=G).tolist() for _ in range(2)]
    found = trained(orders, [1.0, 0.25])
    for r, (order, rate) in enumerate(zip(orders, (1.0, 0.25), strict=True)):
        w, mistakes = by_hand(order, rate)
        torch.testing.assert_close(found.w[r], w)
        assert found.state["mistakes"][r].item() == mistakes == by_hand(order, 1.0)[1]
