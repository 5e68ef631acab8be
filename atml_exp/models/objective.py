"""Objectives: functions of the weights alone, of which theory knows the constants and the minimum."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Known", "Objective"]


@dataclass(frozen=True)
class Known:
    """minimum: f*. minimiser: w* (D,), the one nearest to the start. smoothness: L, None where there is none.

    strong_convexity: μ, 0 where the function is merely convex, None where it isn't convex.
    """

    minimum: float
    minimiser: Tensor
    smoothness: float | None
    strong_convexity: float | None


class Objective(nn.Module):
    """f(w), whatever the inputs: outputs (N, num_outputs), all equal. Trained with `atml_exp.losses.value`.

    value: a pure function (D,) → () of the weights, differentiable twice. start: w₀ (D,), float64.
    """

    def __init__(
        self, value: Callable[[Tensor], Tensor], start: Tensor, known: Known, num_outputs: int = 1
    ) -> None:
        super().__init__()
        self.weights = nn.Parameter(start)
        self.known = known
        self._value, self._num_outputs = value, num_outputs

    def forward(self, x: Tensor) -> Tensor:
        return self._value(self.weights).expand(len(x), self._num_outputs)

    def value(self) -> Tensor:
        """f(w), ()."""
        return self._value(self.weights)

    def extra_repr(self) -> str:
        return f"dimension={len(self.weights)}"


def on_sphere(dimension: int, radius: float) -> Tensor:
    """Uniform on a sphere about 0, (dimension,) float64, from torch's global generator as initial weights are."""
    direction = torch.randn(dimension, dtype=torch.float64)
    return radius * direction / direction.norm()
