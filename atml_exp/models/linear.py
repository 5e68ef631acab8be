"""A linear (affine) predictor."""

import math
from collections import OrderedDict

from torch import nn

from atml_exp.fields import Positive
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["linear"]


def linear(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    bias: bool = True,
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
) -> nn.Module:
    """x ↦ Wx + b on the flattened input: num_outputs·(∏ input_shape + 1) parameters, `output.weight` and `.bias`.

    initialisation: `zeros` starts from w = 0, as theorems on convex losses often do. initial_scale multiplies the
    initial weights.

    >>> sum(p.numel() for p in linear((1, 8, 8), 10).parameters())
    650
    """
    layer = nn.Linear(math.prod(input_shape), num_outputs, bias=bias)
    model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), output=layer))
    initialise(model, initialisation, initial_scale)
    return model
