"""The smooth convex function on which no first-order method is fast (Nesterov)."""

import torch
from torch import Tensor, nn

from atml_exp.fields import PositiveInt
from atml_exp.models.objective import Known, Objective

__all__ = ["nesterov_worst_case"]


def nesterov_worst_case(
    input_shape: tuple[int, ...], num_outputs: int, *, dimension: PositiveInt = 101
) -> nn.Module:
    """f(w) = ¼ {½ [w_1² + Σ_{i<D} (w_i − w_{i+1})² + w_D²] − w_1}, from w₀ = 0; L = 1, merely convex in theory.

    f* = ⅛ (−1 + 1/(D + 1)) at w*_i = 1 − i/(D + 1). Whatever combines gradients has
    f(w_t) − f* ≥ 3L‖w₀ − w*‖²/(32(t + 1)²) for t ≤ (D − 1)/2, with D = 2t + 1. Nesterov (2018), Lectures on convex
    optimization, section 2.1.2, with L = 1. Its μ, which goes to 0 as D^−2, is given as 0.

    >>> nesterov_worst_case((1,), 1, dimension=3).known.minimum
    -0.09375
    """
    places = torch.arange(1, dimension + 1, dtype=torch.float64)
    minimum = (-1 + 1 / (dimension + 1)) / 8
    known = Known(minimum, 1 - places / (dimension + 1), 1.0, 0.0)
    return Objective(_value, torch.zeros(dimension, dtype=torch.float64), known, num_outputs)


def _value(w: Tensor) -> Tensor:
    squares = w[0] ** 2 + (w[:-1] - w[1:]).square().sum() + w[-1] ** 2
    return (squares / 2 - w[0]) / 4
