"""SGD with Nesterov momentum (Nesterov, 1983), in torch.optim.SGD's convention (nesterov=True)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed

__all__ = ["Nesterov"]


@dataclass(frozen=True)
class Nesterov(Momentum):
    """g ← g + λw;  v ← βv + g;  w ← w − η(g + βv).

    On a quadratic with curvature h, full batch: stable for h < (2 + 2β)/(η(1 + 2β)).
    """

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = decayed(gradient(w), w, self.weight_decay)
        v = axpy(self.momentum, state["velocity"], g)
        return axpy(-learning_rate, axpy(self.momentum, v, g), w), {"velocity": v}
