"""Train once from the initial weights to the last step."""

from collections.abc import Callable

from atml_exp.fields import Duration, NonNegative, PositiveInt, Schedule
from atml_exp.population import Population

__all__ = ["train"]


def train(
    fit: Callable[..., Population],
    population: Population,
    *,
    steps: Duration = "60ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "1ep",
    replacement: bool = False,
    label_noise: NonNegative = 0.0,
) -> Population:
    """One call of `fit`: `steps` updates on mini-batches of `batch_size` (None: the whole training set).

    replacement: examples are drawn independently, where an epoch otherwise is a random order of all of them.
    label_noise: labels are changed anew at each step: classes with this probability to another one, numbers by
    Gaussian noise of this standard deviation (label-noise SGD).
    """
    return fit(
        population,
        steps=steps,
        batch_size=batch_size,
        evaluate_every=evaluate_every,
        replacement=replacement,
        label_noise=label_noise,
    )
