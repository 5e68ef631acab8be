"""Gradient descent with injected Gaussian noise: SGD's control, and (unadjusted) Langevin dynamics."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import NonNegative
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.optimiser import Gradient, State, axpy, decayed
from atml_exp.seeds import generator

__all__ = ["NoisyGD", "gradient_noise"]


@dataclass(frozen=True)
class NoisyGD(GD):
    """w ← w − η(∇L(w) + λw + s·ξ), ξ ~ N(0, I) drawn anew at each step from the replica's own seed.

    L is the mean loss on the *whole* training set; s = `noise_std` is the standard deviation of the noise on each
    coordinate of the gradient, the same in all directions, where a mini-batch's noise has the covariance Σ/B:
    s² = tr Σ/(BP) gives a step as much noise in total. With s = √(2T/η) this is Langevin dynamics at temperature T.

    On a quadratic of curvature h the stationary variance is ηs²/(h(2 − ηh)).
    """

    noise_std: NonNegative = 0.01

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        g = axpy(
            self.noise_std, gradient_noise(w, gradient.seeds, step), decayed(gradient(w), w, self.weight_decay)
        )
        return axpy(-learning_rate, g, w), state


def gradient_noise(w: Tensor, seeds: tuple[int, ...], step: int) -> Tensor:
    """Like w (..., P): row r is drawn from seed r alone; on the CPU, so that it is the same on every device."""
    rows = [torch.randn(w.shape[-1], generator=generator(s, "noise", step), dtype=w.dtype) for s in seeds]
    return torch.stack(rows).view(w.shape).to(w.device)
