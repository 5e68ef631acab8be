"""Nets trained beside a run, from given weights, each with an order of the data of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.masks import prunable
from atml_exp.observer import Observer
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.population import Population, assemble, draws_randomness
from atml_exp.probe import specimen
from atml_exp.train import Bench, Schedules, fit

__all__ = ["trained", "trained_together"]


def trained(
    model: nn.Module,
    data: Split,
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    seed: int,
    optimiser: Optimiser | None = None,
    steps: int | str = "60ep",
    batch_size: int | None = 64,
    pruned: bool = False,
) -> nn.Module:
    """A copy of `model`, in eval mode, trained on from its weights and batch-norm statistics by the runs' own loop.

    seed: of the order of the data (and of dropout): equal seeds give equal nets. optimiser: from its initial state,
    momentum 0; SGD with momentum 0.9 by default. The learning rate is constant. pruned: what is exactly 0 among the
    weights that can be pruned has been, and stays 0. The model stays untouched.
    Raises ValueError where the loss or the weights stop being finite.
    """
    end = trained_together(
        model,
        [data],
        [seed],
        loss=loss,
        optimiser=optimiser or Momentum(),
        steps=steps,
        batch_size=batch_size,
        pruned=pruned,
    )
    return specimen(model, end.replica(0))


def trained_together(
    model: nn.Module,
    data: Sequence[Split],
    seeds: Sequence[int],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimiser: Optimiser,
    steps: int | str,
    batch_size: int | None,
    schedules: Schedules = (),
    replacement: bool = False,
    pruned: bool = False,
    watch: Callable[[Population, float], None] = lambda population, learning_rate: None,
) -> Population:
    """R copies of `model`, each trained on a split and with an order of its own, as one population; see `trained`.

    schedules: of all. watch(population, learning rate) is called before each step and, at last, after the last one,
    with what a further step would have. Raises ValueError where a copy's weights stop being finite, ConfigError as
    `atml_exp.population.assemble` does.
    """
    start = specimen(model, {**dict(model.named_parameters()), **dict(model.named_buffers())})
    stochastic = draws_randomness(start, data[0].x[:2], data[0].y[:2], loss)
    population = assemble([start] * len(seeds), seeds, stochastic=stochastic)
    if pruned:
        kept = _not_pruned(start, population)
        population = population.masked(kept.expand_as(population.w))
    bench = Bench(
        splits=data,
        loss_fn=loss,
        optimiser=optimiser,
        schedules=[schedules] * len(seeds),
        observer=_Nobody(watch),
    )
    with torch.enable_grad():
        end = fit(bench, population, steps=steps, batch_size=batch_size, replacement=replacement)
    for seed, finite in zip(seeds, end.finite(), strict=True):
        if not finite:
            raise ValueError(f"training a net with seed {seed} diverged: its weights are not finite")
    return end


def _not_pruned(model: nn.Module, population: Population) -> Tensor:
    parameters = dict(model.named_parameters())
    kept = {name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters.items()}
    return population.layout.vector({**kept, **{name: p != 0 for name, p in prunable(parameters).items()}})


class _Nobody(Observer):
    """Looks on without looking; `watch` alone is told."""

    def __init__(self, watch: Callable[[Population, float], None]) -> None:
        super().__init__([], {}, lambda model, split: {})
        self._watch = watch

    def begin(
        self,
        population: Population,
        total: int,
        steps_per_epoch: Sequence[int],
        evaluate_every: str,
        *,
        measured: bool = True,
    ) -> tuple[Population, bool]:
        return population, False

    def end(self, population: Population) -> None:
        pass

    def observe(self, population: Population, learning_rate: Any) -> None:
        self._watch(population, learning_rate)

    def tick(self, population: Population) -> None:
        pass

    @property
    def all_diverged(self) -> bool:
        return False
