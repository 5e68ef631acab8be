"""Models that are their training set: nothing in them is trained, everything is remembered."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

__all__ = ["is_of_training_set", "of_training_set"]

_F = TypeVar("_F", bound=Callable[..., object])


def of_training_set(fn: _F) -> _F:
    """Declares that a model is made of the training split: fn(input_shape, num_outputs, train, **options).

    Its module keeps what it needs as buffers, so that they are stored with a checkpoint and stack in a population,
    and says `nonparametric = True` where it has nothing to train; recipe=memorise makes a run of it.
    """
    fn.of_training_set = True  # type: ignore[attr-defined]
    return fn


def is_of_training_set(make: Any) -> bool:
    """Whether a model's function, with or without its options, is marked so."""
    return bool(getattr(make.func if isinstance(make, partial) else make, "of_training_set", False))
