"""The recorded weights are the model's, in the order in which the trainer holds them."""

import pytest
import torch
from torch import nn

from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.probes.trajectory import trajectory

DATA = Split(torch.zeros(1, 3), torch.zeros(1, dtype=torch.long))


def test_all_trainable_parameters_end_to_end():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].bias.requires_grad_(False)
    weights = trajectory(model, DATA)["weights"]
    assert weights.shape == (12 + 4 + 4 + 8 + 2,)
    assert not weights.requires_grad
    assert torch.equal(weights[:12].view(4, 3), model[0].weight)
    for name, piece in Layout.of(model).named(weights).items():
        assert torch.equal(piece, model.get_parameter(name))


def test_the_record_does_not_follow_the_model():
    model = nn.Linear(3, 1)
    weights = trajectory(model, DATA)["weights"]
    before = weights.clone()
    with torch.no_grad():
        model.weight.add_(1)
    assert torch.equal(weights, before)


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="no parameters that require gradients"):
        trajectory(nn.Flatten(), DATA)
