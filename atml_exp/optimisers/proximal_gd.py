"""Proximal gradient descent for a smooth loss and an ℓ₁ penalty: ISTA, and accelerated FISTA."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["ProximalGD", "soft_threshold"]


def soft_threshold(w: Tensor, threshold: Any) -> Tensor:
    """sign(w)·max(0, |w| − threshold) (..., P): argmin_u ½‖u − w‖² + threshold·‖u‖₁.

    threshold: a number ≥ 0, or a column for the replicas.

    >>> soft_threshold(torch.tensor([3.0, -0.5, -2.0]), 1.0).tolist()
    [2.0, 0.0, -1.0]
    """
    zero = torch.zeros_like(w)
    return torch.where(w > threshold, w - threshold, torch.where(w < -threshold, w + threshold, zero))


@dataclass(frozen=True)
class ProximalGD:
    """w ← S(y − η(∇L(y) + λ₂y), ηλ₁), S the soft threshold, y = w or accelerated; on the whole training set.

    Minimises F = L(w) + ½λ₂‖w‖² + λ₁‖w‖₁, L the mean loss, λ₁ = `l1`, λ₂ = `weight_decay`; both penalise every
    weight, biases too. With L = loss=mse and λ₂ = 0 that is the lasso, in scikit-learn's convention (alpha = λ₁).
    At η = 1/L, F(w_N) − F* ≤ L‖w₀ − w*‖²/(2N), accelerated 2L‖w₀ − w*‖²/(N + 1)² (Beck & Teboulle 2009, A fast
    iterative shrinkage-thresholding algorithm, Theorems 3.1 and 4.4). Weights become 0 exactly.
    """

    full_batch: ClassVar[bool] = True
    learning_rate: Positive = 0.1
    l1: NonNegative = 0.01
    weight_decay: NonNegative = 0.0
    accelerated: bool = False

    def init(self, w: Tensor) -> State:
        if not self.accelerated:
            return {}
        return {"before": w.clone(), "t": torch.zeros(w.shape[:-1], dtype=w.dtype, device=w.device)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        if not self.accelerated:
            return self._proximal(w, gradient, learning_rate), state
        following = (1 + (1 + 4 * state["t"].square()).sqrt()) / 2  # 1 after 0
        y = w + ((state["t"] - 1) / following)[..., None] * (w - state["before"])
        return self._proximal(y, gradient, learning_rate), {"before": w, "t": following}

    def _proximal(self, y: Tensor, gradient: Gradient, learning_rate: Any) -> Tensor:
        forward = axpy(-learning_rate, decayed(gradient(y), y, self.weight_decay), y)
        return soft_threshold(forward, learning_rate * self.l1)
