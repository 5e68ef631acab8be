"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, 2019, Algorithm 2)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atml_exp.fields import NonNegative
from atml_exp.optimisers.adam import Adam, adam_direction
from atml_exp.optimisers.optimiser import Gradient, State

__all__ = ["AdamW"]


@dataclass(frozen=True)
class AdamW(Adam):
    """w ← (1 − ηλ)w − η m̂/(√v̂ + ε): the decay is scaled by the learning rate, as in torch.optim."""

    weight_decay: NonNegative = 1e-2

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        direction, state = adam_direction(
            gradient(w), state, step=step, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon
        )
        return (1 - learning_rate * self.weight_decay) * w - learning_rate * direction, state
