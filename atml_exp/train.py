"""The training loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from atml_exp.batches import Batches
from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.observer import Observer
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.population import Loss, Population, update
from atml_exp.schedule import num_steps, start_step
from atml_exp.targets import carried

__all__ = ["Bench", "Schedules", "fit"]

Schedules = Sequence[Callable[[int, int], float]]
"""Functions (step, steps) → factor of the learning rate; several are multiplied."""


@dataclass(frozen=True)
class Bench:
    """What a training needs besides the population: data, loss, update rule, and who looks on.

    splits: the training set of each replica. schedules: of each replica. batch_sizes: of each replica, where they
    differ; all steps of the training then fall together, whatever an epoch is for each. loss_fns: of each replica,
    where they differ in numbers. redraw: redraw(draw) gives for each replica a module with other initial weights
    than its own, for each number `draw` others.
    """

    splits: Sequence[Split]
    loss_fn: Loss
    optimiser: Optimiser
    schedules: Sequence[Schedules]
    observer: Observer
    batch_sizes: Sequence[int] | None = None
    loss_fns: Sequence[Loss] | None = None
    redraw: Callable[[int], Sequence[nn.Module]] | None = None

    def __call__(self, population: Population, **options: Any) -> Population:
        """See `fit`."""
        return fit(self, population, **options)

    def num_steps(self, duration: int | str, batch_size: int | None) -> int:
        """`10ep` with batches of a size, as a number of steps."""
        return num_steps(duration, 1 if batch_size is None else len(self.splits[0]) // batch_size)


def fit(
    bench: Bench,
    population: Population,
    *,
    steps: int | str,
    batch_size: int | None,
    evaluate_every: str = "1ep",
    replacement: bool = False,
    label_noise: float = 0.0,
    random_labels: int | str = 0,
    until: int | str | None = None,
    extra: int | str = 0,
    measured: bool = True,
) -> Population:
    """Updates a population until it has made `steps` steps; looks at it before each, and after the last.

    Goes on from `population.step`, so a restored population ends as it would have without the stop; one that had
    reached the end before the stop is returned as it was then. Returns early where all replicas have diverged.
    replacement, label_noise, random_labels (of the `steps`): see `Batches`. until: stops there, in the middle of a
    schedule of `steps` (`-10ep`: counted from its end). extra: so many steps more, with the schedule's last
    learning rate. measured: False: nobody looks.

    Raises DataChangedError where the model writes into the training set.
    """
    splits, loss_fn = carried(bench.splits, bench.loss_fns or [bench.loss_fn] * population.size)
    if loss_fn is not bench.loss_fn and (label_noise != 0 or random_labels):
        raise ConfigError("labels that are changed while training go with neither groups nor weights of examples")
    batches = Batches(
        splits,
        population.seeds,
        bench.batch_sizes or batch_size,
        replacement=replacement,
        label_noise=label_noise,
        random_labels=random_labels,
    )
    total = num_steps(steps, batches.steps_per_epoch[0])
    rate = _LearningRate(bench, total, population.w)
    end = total + num_steps(extra, batches.steps_per_epoch[0])
    if until is not None:
        end = start_step(str(until), total, batches.steps_per_epoch[0])
    if end and not population.layout.size:
        raise ConfigError(f"recipe: the model has nothing to train in {end} steps; allowed: recipe=memorise")
    population, ended = bench.observer.begin(
        population, end, batches.steps_per_epoch, evaluate_every, measured=measured
    )
    if ended or bench.observer.all_diverged:
        return population
    if not population.state:
        population = replace(population, state=bench.optimiser.init(population.w))
    for step in range(population.step, end + 1):
        learning_rate = rate(step if end <= total else min(step, total - 1))
        bench.observer.observe(population, learning_rate)
        if step == end or bench.observer.all_diverged:
            break
        whole = partial(batches.whole, step)
        population = update(population, bench.optimiser, loss_fn, batches(step), learning_rate, whole)
        batches.check_unchanged(step)
        bench.observer.tick(population)
    bench.observer.end(population)
    return population


class _LearningRate:
    """η_t: a number, or a column (R, 1) where the replicas' rates or schedules differ."""

    def __init__(self, bench: Bench, total: int, like: Tensor) -> None:
        self._rate, self._total = bench.optimiser.learning_rate, total
        same = all(s == bench.schedules[0] for s in map(list, bench.schedules))
        self._schedules = bench.schedules[:1] if same else bench.schedules
        self._like = like

    def __call__(self, step: int) -> Any:
        factors = [self._factor(s, step) for s in self._schedules]
        if len(factors) == 1:
            return self._rate * factors[0]
        return self._rate * torch.tensor(factors, dtype=self._like.dtype, device=self._like.device)[:, None]

    def _factor(self, schedules: Schedules, step: int) -> float:
        factor = 1.0
        for schedule in schedules:
            factor *= schedule(step, self._total)
        return factor
