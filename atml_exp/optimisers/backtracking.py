"""Gradient descent with a step size that is halved until the loss falls enough (Armijo 1966)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from atml_exp.fields import OpenFraction, Positive
from atml_exp.optimisers.optimiser import Gradient, State

__all__ = ["Backtracking"]

HALVINGS = 60


@dataclass(frozen=True)
class Backtracking:
    """w ← w − ηg, η the first of η_0, η_0/2, η_0/4, … with L(w − ηg) ≤ L(w) − cη‖g‖², on the whole training set.

    η_0 is the scheduled learning rate, at each step anew; a replica for which none of 60 halvings is enough stays
    where it is. On a smooth function η ≥ min(η_0, (1 − c)/L) (Boyd & Vandenberghe 2004, section 9.3).
    """

    full_batch: ClassVar[bool] = True
    learning_rate: Positive = 1.0
    armijo: OpenFraction = 0.5

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g, before = gradient(w), gradient.loss
        fall = self.armijo * g.square().sum(-1, keepdim=True)
        rate = torch.as_tensor(learning_rate, dtype=w.dtype, device=w.device).expand(fall.shape).clone()
        enough = torch.zeros_like(rate, dtype=torch.bool)
        for _ in range(HALVINGS):
            gradient(w - rate * g)
            rounding = torch.finfo(w.dtype).eps * before.abs()[..., None]
            enough = gradient.loss[..., None] <= before[..., None] - rate * fall + rounding
            if bool(enough.all()):
                break
            rate = torch.where(enough, rate, rate / 2)
        return torch.where(enough, w - rate * g, w), state
