import pytest
import torch
from captum.attr import InputXGradient

from atml_exp.attribution.gradient_input import gradient_input
from atml_exp.attribution.output import output_of
from atml_exp.models.mlp import mlp


def test_captum_says_the_same_and_the_model_stays(net, x, y, untouched):
    found = untouched(gradient_input, net, x, y)
    torch.testing.assert_close(found, InputXGradient(net).attribute(x.clone().requires_grad_(), target=y))


@pytest.mark.parametrize(("activation", "bias", "complete"), [("relu", False, True), ("relu", True, False)])
def test_complete_for_piecewise_linear_nets_without_biases_only(x, y, activation, bias, complete):
    model = mlp((5,), 3, width=16, activation=activation, bias=bias).double()
    gap = (gradient_input(model, x, y).sum(1) - output_of(model, x, y) + output_of(model, 0 * x, y)).abs().max()
    assert (gap < 1e-12) == complete


def test_a_baseline_moves_the_origin(linear, x, y):
    found = gradient_input(linear, x, y, baseline=torch.ones(5))
    torch.testing.assert_close(found, (x - 1) * linear.weight[y].detach())
    with pytest.raises(ValueError, match="baseline has shape"):
        gradient_input(linear, x, y, baseline=torch.ones(4))
