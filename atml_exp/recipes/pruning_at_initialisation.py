"""Prune before training, by what the initial weights say, then train what is left."""

from atml_exp.fields import Duration, PositiveInt, Schedule
from atml_exp.masks import Density
from atml_exp.population import Population
from atml_exp.prune import Criterion, PruningScope, pruned
from atml_exp.train import Bench

__all__ = ["pruning_at_initialisation"]


def pruning_at_initialisation(
    fit: Bench,
    population: Population,
    *,
    criterion: Criterion = "snip",
    density: Density = 0.1,
    rounds: PositiveInt | None = None,
    scope: PruningScope = "global",
    steps: Duration = "30ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "1ep",
) -> Population:
    """Keeps a fraction `density` of the initial weights and trains these for `steps`.

    criterion: see `atml_exp.pruning_scores`; magnitude and random are the controls (Frankle, Dziugaite, Roy &
    Carbin 2021, Pruning neural networks at initialization: why are we missing the mark?). rounds: how often what
    is left is scored anew on the way there, the density falling geometrically; null: 100 for synflow, as its
    authors do, which keeps it from emptying a layer, and 1 for the others. Data are scored on all training
    examples, in eval mode.
    """
    times = rounds or (100 if criterion == "synflow" else 1)
    left = pruned(fit, population, density, criterion=criterion, scope=scope, rounds=times)
    return fit(left, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
