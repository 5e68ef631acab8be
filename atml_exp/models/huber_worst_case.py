"""The smooth convex function on which gradient descent is as slow as it can be."""

from functools import partial

import torch
from torch import Tensor, nn

from atml_exp.fields import PositiveInt
from atml_exp.models.objective import Known, Objective

__all__ = ["huber_worst_case"]


def huber_worst_case(input_shape: tuple[int, ...], num_outputs: int, *, steps: PositiveInt = 100) -> nn.Module:
    """f(w) = ½w² for |w| ≤ r, r|w| − ½r² beyond, with r = 1/(2N + 1), N = `steps`; w₀ = 1, L = 1, f* = 0.

    After N steps of gradient descent with η = 1/L the gap is L‖w₀‖²/(4N + 2), exactly: the bound for all smooth
    convex functions is reached (Drori & Teboulle 2014, Performance of first-order methods for smooth convex
    minimization, section 3).

    >>> huber_worst_case((1,), 1, steps=100).known.smoothness
    1.0
    """
    known = Known(0.0, torch.zeros(1, dtype=torch.float64), 1.0, 0.0)
    return Objective(partial(_value, 1 / (2 * steps + 1)), torch.ones(1, dtype=torch.float64), known, num_outputs)


def _value(bend: float, w: Tensor) -> Tensor:
    size = w.abs()
    return torch.where(size <= bend, w * w / 2, bend * size - bend**2 / 2).sum()
