"""A linear predictor that sees only the first of the input's coordinates."""

import math
from collections import OrderedDict

from torch import Tensor, nn

from atml_exp.errors import ConfigError
from atml_exp.fields import Positive, PositiveInt
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["first_features"]


class _First(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, : self.number]


def first_features(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    width: PositiveInt = 10,
    initialisation: Initialisation = "zeros",
    initial_scale: Positive = 1.0,
) -> nn.Module:
    """x ↦ W(x_1, …, x_width): no bias, and blind to what comes after the coordinate `width`.

    With isotropic Gaussian inputs and least squares of the least norm this is the model whose risk is
    `atml_exp.theory.min_norm_risk` (Belkin, Hsu & Xu 2020, Two models of double descent for weak features).
    Raises ConfigError where width exceeds the number of coordinates.

    >>> first_features((5,), 1, width=2).output.weight.shape
    torch.Size([1, 2])
    """
    there = math.prod(input_shape)
    if width > there:
        raise ConfigError(f"model.width = {width}: the inputs have {there} coordinates: allowed are 1 to {there}")
    output = nn.Linear(width, num_outputs, bias=False)
    model = nn.Sequential(OrderedDict(first=_First(width), output=output))
    initialise(model, initialisation, initial_scale)
    return model
