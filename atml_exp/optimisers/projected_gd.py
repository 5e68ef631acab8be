"""Gradient descent with a constraint: after each step the nearest allowed point is taken."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["Constraint", "ProjectedGD", "onto", "onto_simplex"]

Constraint = Literal["ball", "box", "simplex", "l1_ball"]


def onto(w: Tensor, constraint: Constraint, radius: Any) -> Tensor:
    """The point of a set that is nearest to each row of w (..., P), r = `radius` > 0, a number or a column.

    ball: ‖u‖₂ ≤ r. box: |u_i| ≤ r. simplex: u_i ≥ 0, Σu_i = r. l1_ball: ‖u‖₁ ≤ r. ValueError for others.

    >>> w = torch.tensor([3.0, -4.0])
    >>> onto(w, "box", 2.0).tolist(), onto(w, "l1_ball", 1.0).tolist()
    ([2.0, -2.0], [0.0, -1.0])
    """
    if constraint == "ball":
        length = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
        return torch.where(length > radius, w * (radius / length), w)
    if constraint == "box":
        return torch.clamp(w, min=-radius, max=radius)
    if constraint == "simplex":
        return onto_simplex(w, radius)
    if constraint == "l1_ball":
        inside = w.abs().sum(-1, keepdim=True) <= radius
        return torch.where(inside, w, w.sign() * onto_simplex(w.abs(), radius))
    raise ValueError(f"constraint = {constraint!r}: allowed: ball, box, simplex, l1_ball")


def onto_simplex(w: Tensor, total: Any) -> Tensor:
    """max(0, w − θ) with the θ for which each row of (..., P) sums to `total`.

    Duchi, Shalev-Shwartz, Singer & Chandra (2008), Efficient projections onto the ℓ₁-ball, Figure 1: by sorting.

    >>> onto_simplex(torch.tensor([0.5, 1.5, -1.0]), 1.0).tolist()
    [0.0, 1.0, 0.0]
    """
    descending = w.sort(-1, descending=True).values
    count = torch.arange(1, w.shape[-1] + 1, dtype=w.dtype, device=w.device)
    candidates = (descending.cumsum(-1) - total) / count
    kept = (descending > candidates).sum(-1, keepdim=True)
    theta = candidates.gather(-1, kept.clamp(min=1) - 1)
    return (w - theta).clamp(min=0)


@dataclass(frozen=True)
class ProjectedGD:
    """w ← Π(w − η(∇L(w) + λw)), Π the nearest point of the constraint's set; on the whole training set.

    The set, of all weights together, biases too: see `onto`; radius: its r. The initial weights may lie outside;
    after the first step none do. At η = 1/L on a convex L-smooth function the rate is gradient descent's: L(w_N) −
    L* ≤ L‖w₀ − w*‖²/(2N) over the set, from w₀ in it (it is the proximal method for the set's indicator: Beck &
    Teboulle 2009, Theorem 3.1).
    """

    full_batch: ClassVar[bool] = True
    learning_rate: Positive = 0.1
    constraint: Constraint = "ball"
    radius: Positive = 1.0
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        moved = axpy(-learning_rate, decayed(gradient(w), w, self.weight_decay), w)
        return onto(moved, self.constraint, self.radius), state
