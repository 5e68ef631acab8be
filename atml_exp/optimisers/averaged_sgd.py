"""SGD whose iterates are averaged (Ruppert 1988; Polyak & Juditsky 1992)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from atml_exp.fields import NonNegative, Positive
from atml_exp.optimisers.noisy_gd import gradient_noise
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed
from atml_exp.optimisers.sgd import SGD

__all__ = ["AveragedSGD"]


@dataclass(frozen=True)
class AveragedSGD(SGD):
    """v ← v − η(g(v) + λv + s·ξ), ξ ~ N(0, I);  w ← the mean of all v since the start, w_0 not counted.

    What is measured is the average w; gradients are those at v. noise_std: s, injected beside the mini-batch's own
    noise. With a constant η on a quadratic E‖w_t − w*‖² → tr(H⁻¹ΣH⁻¹)/t, as good as any method can be, and whatever
    η is, though v stays at its noise floor (Polyak & Juditsky 1992, Acceleration of stochastic approximation by
    averaging, Theorem 1).
    """

    learning_rate: Positive = 0.05
    noise_std: NonNegative = 0.0

    def init(self, w: Tensor) -> State:
        return {"iterate": w.clone()}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        v = state["iterate"]
        g = decayed(gradient(v), v, self.weight_decay)
        if not (isinstance(self.noise_std, float | int) and self.noise_std == 0):
            g = axpy(self.noise_std, gradient_noise(v, gradient.seeds, step), g)
        v = axpy(-learning_rate, g, v)
        return w * (step / (step + 1)) + v / (step + 1), {"iterate": v}
