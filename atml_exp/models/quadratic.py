"""A quadratic with a given spectrum."""

from functools import partial

import torch
from torch import Tensor, nn

from atml_exp.datasets.linear_regression import eigenvalues
from atml_exp.fields import NonNegative, Positive, PositiveInt
from atml_exp.models.objective import Known, Objective, on_sphere

__all__ = ["quadratic"]


def quadratic(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    dimension: PositiveInt = 20,
    spectrum: NonNegative | list[NonNegative] = 1.0,
    radius: Positive = 1.0,
) -> nn.Module:
    """f(w) = ½ Σ_i λ_i w_i², started on the sphere ‖w₀‖ = radius, where the seed says; f* = 0 at w* = 0.

    spectrum: a number a for the power law λ_i = i^−a, or the list of the `dimension` eigenvalues. L and μ are the
    largest and the smallest; κ = L/μ.

    >>> quadratic((1,), 1, dimension=3, spectrum=[4.0, 2.0, 1.0]).known.smoothness
    4.0
    """
    lam = eigenvalues(spectrum, dimension, prefix="model")
    known = Known(0.0, torch.zeros(dimension, dtype=torch.float64), float(lam.max()), float(lam.min()))
    return Objective(partial(_value, lam), on_sphere(dimension, radius), known, num_outputs)


def _value(lam: Tensor, w: Tensor) -> Tensor:
    return 0.5 * (lam.to(w) * w * w).sum()
