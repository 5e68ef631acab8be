"""SGD with heavy-ball momentum (Polyak, 1964), in torch.optim.SGD's convention (dampening 0)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive, ProperFraction
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["Momentum"]


@dataclass(frozen=True)
class Momentum:
    """v ← βv + g + λw;  w ← w − ηv.

    On a quadratic with curvature h, full batch: stable for h < (2 + 2β)/η.
    """

    learning_rate: Positive = 0.05
    momentum: ProperFraction = 0.9
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {"velocity": torch.zeros_like(w)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        v = axpy(self.momentum, state["velocity"], decayed(gradient(w), w, self.weight_decay))
        return axpy(-learning_rate, v, w), {"velocity": v}
