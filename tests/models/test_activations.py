import math
from typing import get_args

import pytest
import torch

from atml_exp.models.activations import Activation, activation_module

TRUTHS = {
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: max(x, 0.01 * x),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", get_args(Activation))
def test_values(name):
    x = [-3.0, -0.5, 0.0, 0.7, 4.0]
    values = activation_module(name)(torch.tensor(x, dtype=torch.float64))
    assert values.tolist() == pytest.approx([TRUTHS[name](v) for v in x], rel=1e-14)


@pytest.mark.parametrize("name", get_args(Activation))
def test_first_and_second_derivatives_and_out_of_place(name):
    x = torch.tensor([-1.5, -0.3, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    activation = activation_module(name)
    before = x.detach().clone()
    assert torch.autograd.gradcheck(activation, x)
    assert torch.autograd.gradgradcheck(activation, x)
    assert torch.equal(x, before)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="activation = 'rellu': allowed: relu, leaky_relu, elu, "):
        activation_module("rellu")
