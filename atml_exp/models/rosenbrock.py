"""Rosenbrock's valley: smooth, with one minimum, and not convex."""

import torch
from torch import Tensor, nn

from atml_exp.models.objective import Known, Objective

__all__ = ["rosenbrock"]


def rosenbrock(input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """f(w) = (1 − w_1)² + 100 (w_2 − w_1²)², started at (−1.2, 1); f* = 0 at (1, 1) (Rosenbrock 1960).

    Its gradient isn't Lipschitz, and it isn't convex: there is no L and no μ, and so no bound to draw.

    >>> round(rosenbrock((1,), 1).value().item(), 12)
    24.2
    """
    known = Known(0.0, torch.ones(2, dtype=torch.float64), None, None)
    return Objective(_value, torch.tensor([-1.2, 1.0], dtype=torch.float64), known, num_outputs)


def _value(w: Tensor) -> Tensor:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
