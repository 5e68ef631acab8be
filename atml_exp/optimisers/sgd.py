"""Stochastic gradient descent (Robbins & Monro, 1951)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atml_exp.fields import NonNegative, Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["SGD"]


@dataclass(frozen=True)
class SGD:
    """w ← w − η(g + λw), where g is the gradient of a mini-batch's mean loss."""

    learning_rate: Positive = 0.1
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        return axpy(-learning_rate, decayed(gradient(w), w, self.weight_decay), w), state
