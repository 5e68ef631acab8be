"""The recorded weights are the model's, in the order in which the trainer holds them."""

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.probes.trajectory import trajectory
from atml_exp.projection import project

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


def test_a_projection_keeps_fewer_numbers_and_single_precision_half_the_bytes():
    model = nn.Linear(30, 4).double()
    exact = trajectory(model, DATA)["weights"]
    projected = trajectory(model, DATA, dimension=10, seed=2)["weights"]
    assert torch.equal(projected, project(exact, 10, 2))
    assert projected.dtype == exact.dtype == torch.float64
    assert torch.equal(trajectory(model, DATA, precision="float32")["weights"], exact.float())


def test_the_probe_keeps_its_contract():
    check_probe(trajectory, nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), DATA)


@pytest.mark.parametrize("options", [{}, {"dimension": 5}, {"precision": "float32"}])
def test_replicas_measured_together_have_their_own_weights(options):
    models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(3)]
    for model in models:
        model[0].bias.requires_grad_(False)
    state = {n: torch.stack([m.state_dict()[n] for m in models]) for n in models[0].state_dict()}
    found = trajectory.over_replicas(models[0], state, [DATA] * 3, **options)
    for model, values in zip(models, found, strict=True):
        assert torch.equal(values["weights"], trajectory(model, DATA, **options)["weights"])


def test_a_projection_to_more_dimensions_than_weights_is_refused():
    with pytest.raises(ValueError, match="from 1 to the number of coordinates, 8; got 9"):
        trajectory(nn.Linear(3, 2), DATA, dimension=9)
