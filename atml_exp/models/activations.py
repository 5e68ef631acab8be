"""Activation functions by name."""

from typing import Literal, get_args

from torch import nn

__all__ = ["Activation", "activation_module"]

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "identity"]


def activation_module(name: Activation) -> nn.Module:
    """The module for a name, out of place, so that second derivatives and vmap work; torch's default constants.

    leaky_relu has slope 0.01 below 0, elu α = 1, gelu is the exact xΦ(x), silu xσ(x). ValueError for another name.

    >>> activation_module("relu")
    ReLU()
    """
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "softplus": nn.Softplus,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "identity": nn.Identity,
    }
    if name not in modules:
        raise ValueError(f"activation = {name!r}: allowed: {', '.join(get_args(Activation))}")
    return modules[name]()
