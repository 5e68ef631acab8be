import pytest
import torch
from torch import nn

from atml_exp.linear_part import linear_part
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.models.random_features import random_features

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("make", [linear, random_features])
def test_features_times_weights_are_the_outputs(make, bias):
    model = make((3,), 2, bias=bias)
    part = linear_part(model, X)
    torch.testing.assert_close(part.features @ part.weights, model(X).detach().double(), atol=1e-5, rtol=1e-5)
    assert part.features.dtype == part.weights.dtype == torch.float64


@pytest.mark.parametrize("bias", [True, False])
def test_other_weights_go_back_into_the_model(bias):
    model = linear((3,), 2, bias=bias).double()
    part = linear_part(model, X.double())
    nn.utils.vector_to_parameters(part.vector(model, 2 * part.weights), model.parameters())
    torch.testing.assert_close(model(X.double()).detach(), 2 * part.features @ part.weights)


def test_a_net_whose_first_layer_is_trained_is_refused():
    with pytest.raises(ValueError, match=r"beside the last layer hidden\.0\.linear\.weight is trained too"):
        linear_part(mlp((3,), 2, width=4), X)
