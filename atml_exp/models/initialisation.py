"""Initial weights by name, drawn from torch's global generator, which the caller seeds."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

__all__ = ["Initialisation", "initialise"]

Initialisation = Literal["pytorch", "he", "xavier", "lecun", "orthogonal", "zeros"]


def initialise(model: nn.Module, scheme: Initialisation, scale: float = 1.0, bias_std: float = 0.0) -> None:
    """Draws the weights of every linear and convolutional layer anew, in place. Normalisation layers stay.

    A unit with n inputs, a layer with m outputs (both times the receptive field). Standard deviation of a weight:

    - pytorch: √(1/(3n)), uniform on ±√(1/n), as the layers' constructors left it, and the biases too;
    - he: √(2/n), normal (He et al., 2015); lecun: √(1/n), normal (LeCun et al., 1998);
    - xavier: √(2/(n+m)), normal (Glorot & Bengio, 2010);
    - orthogonal: √(1/max(n, units)), orthonormal rows or columns (Saxe et al., 2014);
    - zeros: 0.

    Biases are 0 under all but `pytorch`. `scale` multiplies what was drawn. With bias_std > 0 biases are instead
    normal of that standard deviation under every scheme, drawn after all weights, which stay as they were: `lecun`
    with scale σ_w and bias_std σ_b is the random net of mean-field theory. ValueError for another scheme.
    """
    if scheme not in get_args(Initialisation):
        raise ValueError(f"initialisation = {scheme!r}: allowed: {', '.join(get_args(Initialisation))}")
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    for layer in layers:
        _draw(layer.weight, scheme)
        with torch.no_grad():
            layer.weight.mul_(scale)
            if layer.bias is not None:
                layer.bias.mul_(scale if scheme == "pytorch" else 0.0)
    for layer in layers:
        if bias_std > 0 and layer.bias is not None:
            nn.init.normal_(layer.bias, std=bias_std)


def _draw(weight: Tensor, scheme: Initialisation) -> None:
    if scheme == "he":
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
    elif scheme == "xavier":
        nn.init.xavier_normal_(weight)
    elif scheme == "lecun":
        nn.init.kaiming_normal_(weight, nonlinearity="linear")
    elif scheme == "orthogonal":
        nn.init.orthogonal_(weight)
    elif scheme == "zeros":
        nn.init.zeros_(weight)
