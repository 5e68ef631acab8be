"""A linear predictor on fixed random features."""

import math
from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import linear

from atml_exp.fields import Positive, PositiveInt
from atml_exp.models.activations import Activation, activation_module
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["random_features"]


class _Features(nn.Module):
    """x ↦ φ(Wx + b)/√width, W and b buffers: they are stored with the model and never trained."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, activation: Activation) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())
        self.activation = activation_module(activation)
        self.scale = layer.out_features**-0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.activation(linear(x, self.weight, self.bias))


def random_features(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    width: PositiveInt = 256,
    activation: Activation = "relu",
    initialisation: Initialisation = "he",
    initial_scale: Positive = 1.0,
    feature_bias: bool = False,
    bias: bool = False,
) -> nn.Module:
    """x ↦ Vφ(Wx + b)/√width + c on the flattened input: W (width, D) and b stay as drawn, V and c are trained.

    Rahimi & Recht (2007), Random features for large-scale kernel machines: a net of one hidden layer of which only
    the second is trained, so that the loss is convex, and, with squared loss, least squares has a closed form
    (recipe=least_squares). feature_bias: b. bias: c. `initialisation` draws V too; `zeros` leaves no features.

    >>> [n for n, p in random_features((8,), 3, width=5).named_parameters()]
    ['output.weight']
    """
    hidden = nn.Linear(math.prod(input_shape), width, bias=feature_bias)
    output = nn.Linear(width, num_outputs, bias=bias)
    initialise(nn.Sequential(hidden, output), initialisation, initial_scale)
    features = _Features(hidden, activation)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), features=features, output=output))
