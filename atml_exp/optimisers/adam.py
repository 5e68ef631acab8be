"""Adam (Kingma & Ba, 2015, Algorithm 1), with the penalty's gradient added to the loss's."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive, ProperFraction
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["Adam", "adam_direction"]


def adam_direction(
    g: Tensor, state: State, *, step: int, beta1: Any, beta2: Any, epsilon: Any
) -> tuple[Tensor, State]:
    """m̂/(√v̂ + ε) with the bias corrections of step `step` (0, 1, …), and the new moments."""
    m = beta1 * state["mean"] + (1 - beta1) * g
    v = beta2 * state["square"] + (1 - beta2) * g * g
    direction = m / (1 - beta1 ** (step + 1)) / ((v / (1 - beta2 ** (step + 1))).sqrt() + epsilon)
    return direction, {"mean": m, "square": v}


@dataclass(frozen=True)
class Adam:
    """m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  w ← w − η m̂/(√v̂ + ε), where g includes λw."""

    learning_rate: Positive = 1e-3
    beta1: ProperFraction = 0.9
    beta2: ProperFraction = 0.999
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {"mean": torch.zeros_like(w), "square": torch.zeros_like(w)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = decayed(gradient(w), w, self.weight_decay)
        direction, state = adam_direction(
            g, state, step=step, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon
        )
        return axpy(-learning_rate, direction, w), state
