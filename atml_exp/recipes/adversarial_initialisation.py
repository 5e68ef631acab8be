"""Fit random labels first, and train from there: an initialisation that leads to poor minima."""

from collections.abc import Callable

from atml_exp.fields import Duration, PositiveInt, Schedule
from atml_exp.population import Population
from atml_exp.schedule import within_steps

__all__ = ["adversarial_initialisation"]


@within_steps("pretrain")
def adversarial_initialisation(
    fit: Callable[..., Population],
    population: Population,
    *,
    pretrain: Duration = "60ep",
    steps: Duration = "120ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "1ep",
) -> Population:
    """`steps` updates, during the first `pretrain` of which the training labels are in a random order.

    The order is drawn from the run's seed and stays the same, so that it can be learnt by heart; then the true
    labels are trained on from the weights that fit the wrong ones (Liu, Papailiopoulos & Achlioptas 2020, Bad
    global minima exist and SGD can reach them). Losses and errors are measured against the true labels throughout.
    The optimiser's state, a momentum for instance, is carried over. pretrain = 0 is ordinary training.
    """
    return fit(
        population, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every, random_labels=pretrain
    )
