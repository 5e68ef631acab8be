"""Sharpness-aware minimisation (Foret, Kleiner, Mobahi & Neyshabur, 2021, Algorithm 1) around SGD with momentum."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive, ProperFraction
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["SAM", "ascent"]


def ascent(g: Tensor, rho: Any) -> Tensor:
    """ρ g/‖g‖ for g (..., P), the first-order maximiser of the loss in the ball ‖ε‖ ≤ ρ.

    Undefined at g = 0; there ε = 0 is taken, so that a stationary point stays one.
    """
    tiny = torch.finfo(g.dtype).tiny
    u = g / g.abs().amax(-1, keepdim=True).clamp_min(tiny)  # squares of small entries would vanish in the norm
    return rho * u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).clamp_min(tiny)


@dataclass(frozen=True)
class SAM:
    """ε = ρ g(w)/‖g(w)‖;  v ← βv + g(w + ε) + λw;  w ← w − ηv, both gradients on the same mini-batch.

    Batch-norm statistics are updated by the first gradient only.
    """

    learning_rate: Positive = 0.05
    rho: NonNegative = 0.05
    momentum: ProperFraction = 0.9
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {"velocity": torch.zeros_like(w)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = gradient(w + ascent(gradient(w), self.rho))
        v = axpy(self.momentum, state["velocity"], decayed(g, w, self.weight_decay))
        return axpy(-learning_rate, v, w), {"velocity": v}
