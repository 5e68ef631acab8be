"""Deletion and insertion of a linear model, where the best order is known, and as area under a drawn line."""

import itertools

import pytest
import torch
from torch import nn

from atml_exp.attribution.faithfulness import deletion_insertion, random_order
from atml_exp.models.mlp import mlp

G = torch.Generator().manual_seed(0)
X = torch.randn(3, 4, generator=G, dtype=torch.float64)
LINEAR = nn.Linear(4, 2).double()
CONTRIBUTION = (X * LINEAR.weight[1]).detach()


def areas(attribution, **options):
    found = deletion_insertion(LINEAR, X, 1, attribution, **options)
    return found.deletion_area(), found.insertion_area()


def test_of_a_linear_model_no_order_beats_that_of_contributions():
    deletion, insertion = areas(CONTRIBUTION)
    orders = torch.tensor(list(itertools.permutations(range(4)))).double()
    for order in orders:
        other = areas(order.expand(3, 4))
        assert (other[0] >= deletion - 1e-12).all()
        assert (other[1] <= insertion + 1e-12).all()


def test_the_curves_of_a_linear_model_are_sums_of_contributions():
    found = deletion_insertion(LINEAR, X, 1, CONTRIBUTION)
    sums = CONTRIBUTION.sort(1, descending=True).values.cumsum(1)
    sums = torch.cat([torch.zeros(3, 1).double(), sums], 1)
    bias = LINEAR.bias[1].detach()
    torch.testing.assert_close(found.insertion, sums + bias)
    torch.testing.assert_close(found.deletion, bias + sums[:, -1:] - sums)
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_of_a_random_order_the_mean_area_is_half_way():
    """Of a linear F deletion falls in a straight line on average: (F(x) + F(x′))/2."""
    found = [areas(random_order(X, seed=s)) for s in range(600)]
    ends = LINEAR(X)[:, 1].detach(), LINEAR.bias[1].detach()
    expected = (ends[0] + ends[1]) / 2
    for which in (0, 1):
        values = torch.stack([f[which] for f in found])
        assert ((values.mean(0) - expected).abs() < 4 * values.std(0) / 600**0.5).all()


def test_opposite_orders_mirror_each_other():
    deletion, insertion = areas(CONTRIBUTION)
    backwards = areas(-CONTRIBUTION)
    torch.testing.assert_close(deletion, backwards[1])
    torch.testing.assert_close(insertion, backwards[0])


def test_ends_are_the_baselines_and_the_inputs_outputs_with_fewer_steps_too():
    torch.manual_seed(0)
    model, x = mlp((1, 4, 4), 3, width=8), torch.randn(5, 1, 4, 4, generator=G)
    target, baseline = torch.tensor([0, 1, 2, 0, 1]), torch.full((1, 4, 4), 0.5)
    options = {"baseline": baseline, "steps": 3, "probability": True}
    found = deletion_insertion(model, x, target, random_order(x), **options)
    full, empty = (
        model(i).softmax(1).gather(1, target[:, None])[:, 0].double() for i in (x, baseline.expand_as(x))
    )
    torch.testing.assert_close(found.deletion[:, [0, -1]], torch.stack([full, empty], 1))
    torch.testing.assert_close(found.insertion[:, [0, -1]], torch.stack([empty, full], 1))
    assert found.shares.tolist() == pytest.approx([0, 5 / 16, 11 / 16, 1])


def test_a_constant_model_has_its_value_as_area():
    model = nn.Linear(4, 1).double()
    nn.init.zeros_(model.weight)
    found = deletion_insertion(model, X, 0, CONTRIBUTION)
    torch.testing.assert_close(found.deletion_area(), model.bias.detach().expand(3))


@pytest.mark.parametrize(
    ("attribution", "options", "words"),
    [
        (CONTRIBUTION[:2], {}, "of x's shape"),
        (CONTRIBUTION / 0, {}, "must be finite"),
        (CONTRIBUTION, {"steps": 5}, "steps is 5: it must be from 1 to 4"),
        (CONTRIBUTION, {"steps": 0}, "steps is 0"),
        (CONTRIBUTION, {"baseline": torch.zeros(3)}, "must broadcast"),
    ],
)
def test_refusals(attribution, options, words):
    with pytest.raises(ValueError, match=words):
        areas(attribution, **options)
