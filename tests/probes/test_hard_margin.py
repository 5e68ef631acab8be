"""Margins by hand, their angle, features and biases, and what isn't linear."""

import pytest
import torch

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.models.random_features import random_features
from atml_exp.probes.hard_margin import hard_margin

POINTS = Split(torch.tensor([[2.0, 0.0], [2.0, 3.0], [-3.0, 1.0]]).double(), torch.tensor([1, 1, 0]))


def with_weights(*w, bias=False, outputs=1):
    model = linear((2,), outputs, bias=bias).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(w, dtype=torch.float64), model.parameters())
    return model


def test_by_hand():
    found = check_probe(hard_margin, with_weights(3.0, 4.0), POINTS)
    assert found == {
        "separable": 1,
        "radius": pytest.approx(13**0.5),
        "margin": pytest.approx(1.0),  # (9 − 4)/5 and 6/5
        "maximum": pytest.approx(2.0),
        "mistake_bound": pytest.approx(13 / 4),
        "angle": pytest.approx(53.130102354),
    }


def test_the_best_direction_has_the_largest_margin_whatever_its_length():
    for length in (1e-3, 1e3):
        found = hard_margin(with_weights(length, 0.0), POINTS)
        assert found["margin"] == pytest.approx(found["maximum"])
        assert found["angle"] == pytest.approx(0, abs=1e-6)


def test_of_two_outputs_the_difference_counts():
    assert hard_margin(with_weights(1.0, 1.0, 4.0, 5.0, outputs=2), POINTS) == pytest.approx(
        hard_margin(with_weights(3.0, 4.0), POINTS)
    )


def test_a_bias_is_the_weight_of_a_constant_feature():
    found = hard_margin(with_weights(1.0, 0.0, -1.0, bias=True), POINTS)
    assert found["radius"] == pytest.approx(14**0.5)
    assert found["margin"] == pytest.approx(1 / 2**0.5)
    moved = Split(POINTS.x + 10, POINTS.y)
    assert hard_margin(with_weights(1.0, 0.0), moved)["separable"] == 1
    line = Split(torch.tensor([[1.0, 0], [2.0, 0]]).double(), torch.tensor([0, 1]))
    assert hard_margin(with_weights(1.0, 0.0), line)["separable"] == 0
    assert hard_margin(with_weights(1.0, 0.0, 0.0, bias=True), line)["separable"] == 1


def test_where_nothing_separates_there_is_no_maximum_and_at_zero_no_margin():
    mixed = Split(torch.cat([POINTS.x, -POINTS.x]), torch.cat([POINTS.y, POINTS.y]))
    assert set(hard_margin(with_weights(1.0, 0.0), mixed)) == {"separable", "radius", "margin"}
    assert hard_margin(with_weights(1.0, 0.0), mixed)["margin"] < 0
    assert "margin" not in hard_margin(with_weights(0.0, 0.0), POINTS)


def test_random_features_are_inputs_of_their_own_and_nets_are_refused():
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    circle = Split(x, (x.norm(dim=1) > 1).long())
    assert hard_margin(with_weights(1.0, 0.0), circle)["separable"] == 0
    wide = random_features((2,), 1, width=100, feature_bias=True, initialisation="pytorch").double()
    assert hard_margin(wide, circle)["separable"] == 1
    with pytest.raises(ValueError, match="isn't linear"):
        hard_margin(mlp((2,), 1, width=3).double(), circle)
    with pytest.raises(ValueError, match="has 3 outputs"):
        hard_margin(linear((2,), 3).double(), circle)
