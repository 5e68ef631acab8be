"""Dead units counted by hand, and on all data rather than a batch."""

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes.dead_units import dead_unit_fractions, dead_units

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


def killed(model, number):
    """The first units of the first hidden layer never get above 0."""
    with torch.no_grad():
        model.hidden[0].linear.bias[:number] = -1e3
    return model


@pytest.mark.parametrize("number", [0, 3, 8])
def test_units_that_were_killed_are_counted(number):
    found = dead_units(killed(mlp((6,), 2, width=8, activation="relu", initial_scale=3.0), number), X)
    assert list(found) == ["hidden.0.activation", "hidden.1.activation"]
    assert found["hidden.0.activation"] == number / 8


def test_a_unit_is_alive_that_wakes_up_for_one_example_in_another_chunk():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    model[0].weight.data.fill_(1.0)
    x = -torch.ones(5000, 1)
    assert dead_units(model, x) == {"1": 1.0}
    x[4999] = 1.0
    assert dead_units(model, x) == {"1": 0.0}


def test_a_channel_is_dead_where_it_is_zero_at_every_place():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2))
    with torch.no_grad():
        model[0].bias[:] = torch.tensor([-1e3, -1e3, -1e3, 1e3])
    assert dead_units(model, X.new_ones(3, 1, 6, 6)) == {"1": 0.75}
    assert dead_units(cnn((1, 8, 8), 3), torch.randn(9, 1, 8, 8)).keys()


def test_gradients_of_dead_units_weights_are_zero_and_of_others_not():
    model = killed(mlp((6,), 2, width=8, depth=1), 3)
    model(X).square().sum().backward()
    still = model.hidden[0].linear.weight.grad.abs().sum(1) == 0
    assert int(still.sum()) == round(8 * dead_units(model, X)["hidden.0.activation"]) >= 3


def test_tanh_units_are_never_dead_and_leaky_ones_neither():
    for activation in ("tanh", "leaky_relu", "gelu"):
        assert set(dead_units(mlp((6,), 2, width=8, activation=activation), X).values()) == {0.0}


def test_the_probe_weighs_layers_by_their_units():
    model = nn.Sequential(nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, 6), nn.ReLU())
    with torch.no_grad():
        model[0].bias[:] = torch.tensor([-1e3, 1e3])
        model[2].bias[:] = 1e4
    found = dead_unit_fractions(model, Split(X, torch.zeros(40)))
    assert (found["fraction"], found["max"]) == (1 / 8, 0.5)
    assert found["by_layer"].tolist() == [0.5, 0.0]


def test_the_probe_keeps_the_contract():
    check_probe(dead_unit_fractions, mlp((6,), 2, width=8), Split(X, torch.zeros(40, dtype=torch.long)))


def test_refusals():
    with pytest.raises(ValueError, match="no activation layer"):
        dead_units(nn.Linear(6, 2), X)
    with pytest.raises(ValueError, match="no example"):
        dead_units(mlp((6,), 2), X[:0])
