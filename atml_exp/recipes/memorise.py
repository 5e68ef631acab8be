"""Remembering the training set, where that is all there is to do."""

from atml_exp.errors import ConfigError
from atml_exp.population import Population
from atml_exp.train import Bench

__all__ = ["memorise"]


def memorise(fit: Bench, population: Population) -> Population:
    """Nothing is optimised: the model was made of its training set. The run has one step, 0, which is measured.

    Raises ConfigError where the model has parameters to train.
    """
    if population.layout.size:
        raise ConfigError(
            f"recipe=memorise: the model has {population.layout.size:,} parameters to train; "
            "allowed: model=k_nearest_neighbours (or recipe=train)"
        )
    return fit(population, steps=0, batch_size=None, evaluate_every="end")
