"""Nesterov's accelerated gradient method for smooth convex functions, with its growing momentum."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from atml_exp.fields import Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy

__all__ = ["Accelerated"]


@dataclass(frozen=True)
class Accelerated:
    """y ← w + ((t − 1)/t′)(w − w_before);  w ← y − η∇L(y);  t′ = (1 + √(1 + 4t²))/2, from t = 0; full batches.

    At η = 1/L on a convex L-smooth function L(w_N) − L* ≤ 2L‖w_0 − w*‖²/(N + 1)² (Nesterov 1983; Beck & Teboulle
    2009, A fast iterative shrinkage-thresholding algorithm, Theorem 4.4).
    """

    full_batch: ClassVar[bool] = True
    learning_rate: Positive = 0.1

    def init(self, w: Tensor) -> State:
        return {"before": w.clone(), "t": torch.zeros(w.shape[:-1], dtype=w.dtype, device=w.device)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        following = (1 + (1 + 4 * state["t"].square()).sqrt()) / 2  # 1 after 0
        y = w + ((state["t"] - 1) / following)[..., None] * (w - state["before"])
        return axpy(-learning_rate, gradient(y), y), {"before": w, "t": following}
