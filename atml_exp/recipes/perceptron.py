"""The perceptron (Rosenblatt, 1958): example after example, epoch after epoch."""

import logging
from dataclasses import replace
from functools import partial
from typing import Literal

import torch

from atml_exp.errors import ConfigError
from atml_exp.fields import Duration, Schedule
from atml_exp.linear_part import LinearPart, linear_part
from atml_exp.losses.margin import margins
from atml_exp.losses.perceptron import perceptron as criterion
from atml_exp.optimisers.perceptron import Perceptron
from atml_exp.population import Population
from atml_exp.probe import specimen
from atml_exp.separability import is_separable
from atml_exp.train import Bench

__all__ = ["perceptron"]

log = logging.getLogger("atml_exp")


def perceptron(
    fit: Bench,
    population: Population,
    *,
    steps: Duration = "50ep",
    batch_size: Literal[1] = 1,
    evaluate_every: Schedule = "1ep",
) -> Population:
    """Rosenblatt's rule from w = 0, whatever the initial weights, in a new random order each epoch.

    With optimiser=perceptron and loss=perceptron. On separable data there are at most (R/γ)² mistakes (Novikoff
    1962), and after an epoch without one nothing changes any more. On others it makes mistakes for ever: whether
    the data are separable is decided exactly, by a linear programme, and said before the training; after it, how
    many examples are still missed. The probes `mistakes` and `hard_margin` record the count and its bound.

    Raises ConfigError for another optimiser or loss, and for models with more than one trained layer.
    """
    _check(fit)
    start = replace(population, w=torch.zeros_like(population.w))
    separable = [
        is_separable(_part(fit, start, r).features.cpu(), fit.splits[r].y.cpu()) for r in range(start.size)
    ]
    if not all(separable):
        log.warning(
            "the training data%s can't be separated by a hyperplane: the perceptron never stops making mistakes on "
            "them, and its last weights are whatever the last mistake left",
            "" if start.size == 1 else f" of {separable.count(False)} of {start.size} runs",
        )
    net = fit(start, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
    missed = [_missed(fit, net, r) for r in range(net.size)]
    if any(missed):
        worst = max(range(net.size), key=missed.__getitem__)
        log.warning(
            "after the last epoch the perceptron still misses up to %d of %d training examples%s",
            missed[worst],
            len(fit.splits[worst]),
            ", which are separable: it needs more steps" if separable[worst] else "",
        )
    return net


def _check(fit: Bench) -> None:
    loss = fit.loss_fn.func if isinstance(fit.loss_fn, partial) else fit.loss_fn
    if not isinstance(fit.optimiser, Perceptron):
        raise ConfigError(
            f"optimiser = {type(fit.optimiser).__name__}: recipe=perceptron needs optimiser=perceptron"
        )
    if loss is not criterion:
        raise ConfigError(f"loss = {getattr(loss, '__name__', loss)}: recipe=perceptron needs loss=perceptron")


def _part(fit: Bench, population: Population, r: int) -> LinearPart:
    model = specimen(population.model_of(r), population.replica(r))
    try:
        return linear_part(model, fit.splits[r].x)
    except ValueError as error:
        raise ConfigError(f"recipe=perceptron: {error}; allowed: model=linear or random_features") from error


def _missed(fit: Bench, population: Population, r: int) -> int:
    part = _part(fit, population, r)
    return int((margins(part.features @ part.weights, fit.splits[r].y) <= 0).sum())
