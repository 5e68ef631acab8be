"""Parameters as one vector, and back, for one model and for stacked ones."""

import pytest
import torch
from torch import nn

from atml_exp.layout import Layout


def net():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].bias.requires_grad_(False)
    return model


def test_a_vector_and_back():
    model = net()
    layout = Layout.of(model)
    w = layout.vector(dict(model.named_parameters()))
    assert layout.size == w.numel() == 12 + 4 + 4 + 8 + 2
    assert layout.names == ("0.weight", "1.weight", "1.bias", "2.weight", "2.bias")
    for name, piece in layout.named(w).items():
        assert torch.equal(piece, model.get_parameter(name))
    assert torch.equal(layout.flatten(layout.pieces(w)), w)


def test_pieces_are_views_with_the_leading_axes():
    layout = Layout.of(net())
    w = torch.zeros(5, layout.size)
    layout.named(w)["2.weight"][3] = 1.0
    assert w.sum(1).tolist() == [0, 0, 0, 8, 0]


def test_equal_architectures_have_equal_layouts():
    assert Layout.of(net()) == Layout.of(net())
    assert hash(Layout.of(net())) == hash(Layout.of(net()))
    assert Layout.of(net()) != Layout.of(nn.Linear(3, 4))


def test_tied_weights_are_held_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert Layout.of(model).size == 9 + 3 + 3


def test_a_model_without_anything_to_train_is_refused():
    with pytest.raises(ValueError, match="Flatten has no parameters that require gradients"):
        Layout.of(nn.Flatten())


def test_a_model_that_says_it_is_nonparametric_has_an_empty_one():
    model = nn.Flatten()
    model.nonparametric = True
    layout = Layout.of(model)
    assert (layout.size, layout.vector({}).shape, layout.named(torch.zeros(3, 0))) == (0, (0,), {})
