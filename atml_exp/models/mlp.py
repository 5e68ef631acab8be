"""A multilayer perceptron."""

import math
from typing import Literal

from torch import Tensor, nn

from atml_exp.fields import NonNegative, Positive, PositiveInt
from atml_exp.models.activations import Activation, activation_module
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["MLP", "mlp"]

Normalisation = Literal["none", "batch", "layer"]


class _Hidden(nn.Module):
    """x ↦ φ(norm(Wx + b)), plus x itself with a skip connection."""

    def __init__(
        self, inputs: int, width: int, activation: Activation, normalisation: Normalisation, bias: bool, skip: bool
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width, bias=bias)
        norms = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        self.norm = norms[normalisation](width)
        self.activation = activation_module(activation)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.norm(self.linear(x)))
        return x + hidden if self.skip else hidden


class MLP(nn.Module):
    """`depth` hidden layers of `width` units, then a linear layer; the input is flattened."""

    def __init__(
        self,
        inputs: int,
        num_outputs: int,
        depth: int,
        width: int,
        activation: Activation,
        normalisation: Normalisation,
        bias: bool,
        skip: bool,
    ) -> None:
        super().__init__()
        sizes = [inputs] + [width] * (depth - 1)
        self.hidden = nn.Sequential(
            *(
                _Hidden(n, width, activation, normalisation, bias, skip and n == width and i > 0)
                for i, n in enumerate(sizes)
            )
        )
        self.output = nn.Linear(width, num_outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x.flatten(1)))


def mlp(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    depth: PositiveInt = 2,
    width: PositiveInt = 64,
    activation: Activation = "relu",
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
    initial_bias_std: NonNegative = 0.0,
    normalisation: Normalisation = "none",
    skip: bool = False,
    bias: bool = True,
) -> nn.Module:
    """A perceptron with `depth` hidden layers of `width` units, then a linear layer, on the flattened input.

    skip: each hidden layer but the first adds its input to its output: x ↦ x + φ(norm(Wx + b)) (after He et al.,
    2016; the first never does, even if the input happens to have `width` entries). Normalisation comes before the
    activation: `batch` (Ioffe & Szegedy, 2015) or `layer` (Ba et al., 2016). bias: in all linear layers or none.
    initial_scale multiplies the initial weights of all linear layers (and the biases where they aren't 0).
    initial_bias_std: standard deviation of normal initial biases; 0: as the initialisation has them.
    The parameters are `hidden.<i>.linear.weight`, `.bias`, …, `output.weight`, `output.bias`.

    >>> sum(p.numel() for p in mlp((64,), 10, depth=2, width=128).parameters())
    26122
    """
    model = MLP(math.prod(input_shape), num_outputs, depth, width, activation, normalisation, bias, skip)
    initialise(model, initialisation, initial_scale, initial_bias_std)
    return model
