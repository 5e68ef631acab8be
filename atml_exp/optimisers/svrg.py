"""SGD whose variance vanishes at the minimum (Johnson & Zhang, 2013)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import NonNegative, Positive, PositiveInt
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["SVRG"]


@dataclass(frozen=True)
class SVRG:
    """w ← w − η(g(w) − g(w̃) + ∇L(w̃) + λw), g of the same mini-batch; w̃ ← w at every `every`-th step, from step 0.

    ∇L is the gradient of the whole training set (without label noise that is drawn at each step): the direction has
    the mean ∇L(w) + λw whatever w̃ is, and a variance of the order of ‖w − w̃‖². With a small constant η the loss
    falls linearly where it is strongly convex, while SGD stays at a floor. `every`: the paper takes twice the
    number of examples (of batches of 1) where the loss is convex, five times where it isn't; each time costs a pass
    over the data. Johnson & Zhang (2013), Accelerating stochastic gradient descent using predictive variance
    reduction, option I; their theorem is on option II, where w̃ is a random iterate, with examples drawn
    independently (recipe.replacement=true).
    """

    learning_rate: Positive = 0.05
    every: PositiveInt = 100
    weight_decay: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {"snapshot": w.clone(), "full": torch.zeros_like(w)}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        if isinstance(self.every, Tensor):
            due = step % self.every == 0
            snapshot = torch.where(due, w, state["snapshot"])
            full = torch.where(due, gradient.full(snapshot), state["full"]) if bool(due.any()) else state["full"]
        elif step % self.every == 0:
            snapshot, full = w, gradient.full(w)
        else:
            snapshot, full = state["snapshot"], state["full"]
        g = gradient(w) - gradient(snapshot) + full
        return axpy(-learning_rate, decayed(g, w, self.weight_decay), w), {"snapshot": snapshot, "full": full}
