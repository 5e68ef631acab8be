"""Train once from the initial weights to the last step."""

from collections.abc import Callable

from atml_exp.fields import Duration, PositiveInt, Schedule
from atml_exp.population import Population

__all__ = ["train"]


def train(
    fit: Callable[..., Population],
    population: Population,
    *,
    steps: Duration = "60ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "1ep",
) -> Population:
    """One call of `fit`: `steps` updates on mini-batches of `batch_size` (None: the whole training set)."""
    return fit(population, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
