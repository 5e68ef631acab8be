"""Gradient descent on the whole training set."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from atml_exp.fields import NonNegative, Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["GD"]


@dataclass(frozen=True)
class GD:
    """w ← w − η(∇L(w) + λw), where L is the mean loss on the *whole* training set.

    On a quadratic with curvature h the error shrinks by 1 − ηh a step: stable for h < 2/η.
    """

    full_batch: ClassVar[bool] = True

    learning_rate: Positive = 0.1
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        return axpy(-learning_rate, decayed(gradient(w), w, self.weight_decay), w), state
