"""Rosenblatt's rule (1958): SGD on single examples that counts the mistakes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy

__all__ = ["Perceptron"]


@dataclass(frozen=True)
class Perceptron:
    """w ← w − ηg, g ≠ 0 at a mistake only (loss=perceptron, batches of 1); counts the steps with g ≠ 0.

    From w = 0 on data with margin γ > 0 in a ball of radius R there are at most (R/γ)² mistakes, in whatever order
    and for whatever η, which only scales w (Novikoff 1962, On convergence proofs on perceptrons). An example x = 0,
    which no w gets right, isn't counted. State: `mistakes` (...), a number for each replica. recipe=perceptron
    keeps to the theorem's terms.
    """

    learning_rate: Positive = 1.0

    def init(self, w: Tensor) -> State:
        return {"mistakes": torch.zeros(w.shape[:-1], dtype=w.dtype, device=w.device)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = gradient(w)
        return axpy(-learning_rate, g, w), {"mistakes": state["mistakes"] + (g != 0).any(-1).to(w.dtype)}
