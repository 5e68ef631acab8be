"""Steepest descent: along the gradient to where the loss is least (Cauchy 1847)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from atml_exp.fields import Positive
from atml_exp.optimisers.optimiser import Gradient, State

__all__ = ["ExactLineSearch"]

DOUBLINGS, REFINEMENTS, ACCURACY = 60, 60, 1e-10


@dataclass(frozen=True)
class ExactLineSearch:
    """w ← w − ηg with g·∇L(w − ηg) = 0, the first η where the loss stops falling along −g; whole training set.

    The slope's zero is bracketed by doubling the scheduled learning rate, then found by the Illinois variant of
    regula falsi to 1e-10 of the slope at η = 0; on a quadratic the first trial finds it: η = ‖g‖²/gᵀHg. There
    L(w_t) − L* shrinks by ((κ − 1)/(κ + 1))² a step at most (Nocedal & Wright 2006, Theorem 3.3). Where the slope
    jumps past 0, at a kink of a ReLU net, η ends before the jump, by at most 1e-10 of itself (float32: 1e-6),
    whatever the rounding.
    """

    full_batch: ClassVar[bool] = True
    learning_rate: Positive = 0.1

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = gradient(w)
        steepest = g.square().sum(-1, keepdim=True)

        def slope(rate: Tensor) -> Tensor:
            """−dL/dη, positive while the loss falls."""
            return (g * gradient(w - rate * g)).sum(-1, keepdim=True)

        rate = torch.as_tensor(learning_rate, dtype=w.dtype, device=w.device).expand(steepest.shape).clone()
        low, high = torch.zeros_like(rate), rate
        falls, rises = steepest, slope(high)
        for _ in range(DOUBLINGS):
            beyond = rises > 0
            if not bool(beyond.any()):
                break
            low, falls = torch.where(beyond, high, low), torch.where(beyond, rises, falls)
            high = torch.where(beyond, 2 * high, high)
            rises = torch.where(beyond, slope(high), rises)
        return w - self._zero(slope, low, high, falls, rises, ACCURACY * steepest) * g, state

    @staticmethod
    def _zero(slope: Any, low: Tensor, high: Tensor, falls: Tensor, rises: Tensor, accuracy: Tensor) -> Tensor:
        """Where the slope is 0 between low, where it is `falls` ≥ 0, and high, where it is `rises` ≤ 0.

        A replica that is there stays there while others go on, so that it ends where it would have ended alone.
        """
        middle, done = high, torch.zeros_like(high, dtype=torch.bool)
        close = max(ACCURACY, 8 * torch.finfo(high.dtype).eps)
        for _ in range(REFINEMENTS):
            secant = low + (high - low) * falls / (falls - rises)
            inside = (secant > low) & (secant <= high)  # NaN isn't
            trial = torch.where(falls == 0, low, torch.where(inside, secant, (low + high) / 2))
            middle = torch.where(done, middle, trial)
            found = slope(middle)
            done = done | (found.abs() <= accuracy)
            left = found > 0
            # a side that stays has its slope halved, so that the next trial comes nearer to it
            rises = torch.where(left, rises / 2, found)
            falls = torch.where(left, found, falls / 2)
            low, high = torch.where(left, middle, low), torch.where(left, high, middle)
            jumps = ~done & (high - low <= close * high)
            middle, done = torch.where(jumps, low, middle), done | jumps
            if bool(done.all()):
                break
        return middle
