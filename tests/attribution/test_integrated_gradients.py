"""Completeness, closed forms, captum, the quadratures' orders, invariance to how a function is implemented."""

import copy
from functools import partial

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from atml_exp.attribution.integrated_gradients import completeness_gap, integrated_gradients, nodes_and_weights
from atml_exp.attribution.output import output_of
from atml_exp.models.mlp import mlp

CAPTUM = {"midpoint": "riemann_middle", "gauss_legendre": "gausslegendre"}


class Polynomial(nn.Module):
    """F = Σ x_i^p + x_0 x_1."""

    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, x):
        return x.pow(self.power).sum(1) + x[:, 0] * x[:, 1]


@pytest.mark.parametrize("quadrature", CAPTUM)
def test_one_step_is_exact_for_linear_and_quadratic_functions(linear, x, y, quadrature):
    base = torch.linspace(-1, 1, 5, dtype=torch.float64)
    found = integrated_gradients(linear, x, base, y, 1, quadrature=quadrature)
    torch.testing.assert_close(found, (x - base) * linear.weight[y].detach())
    found = integrated_gradients(Polynomial(2), x, None, 0, 1, quadrature=quadrature)
    expected = x.square()
    expected[:, :2] += 0.5 * (x[:, 0] * x[:, 1])[:, None]  # a product is shared equally
    torch.testing.assert_close(found, expected)


def test_gauss_is_exact_to_degree_2m_and_midpoint_is_off_by_its_known_error(x):
    assert completeness_gap(Polynomial(6), x, None, 0, gauss(Polynomial(6), x, 3)).max() < 1e-12
    m = 10  # ∫3α² − midpoint = 1/(4m²) of x³
    short = integrated_gradients(Polynomial(3), x, None, 0, m).sum(1) - output_of(Polynomial(3), x, 0)
    torch.testing.assert_close(short, -x.pow(3).sum(1) / (4 * m**2))


def gauss(model, x, steps):
    return integrated_gradients(model, x, None, 0, steps, quadrature="gauss_legendre")


@pytest.mark.parametrize("quadrature", CAPTUM)
def test_captum_says_the_same(net, x, y, quadrature):
    base = 0.3 * torch.ones(1, 5, dtype=torch.float64)
    theirs = IntegratedGradients(net).attribute(x, base, target=y, n_steps=9, method=CAPTUM[quadrature])
    found = integrated_gradients(net, x, base, y, 9, quadrature=quadrature)
    torch.testing.assert_close(found, theirs, atol=1e-6, rtol=0)  # their nodes are float32


def test_complete_to_the_order_of_the_rule(net, x, y):
    gaps = [completeness_gap(net, x, None, y, integrated_gradients(net, x, None, y, m)).max() for m in (20, 40)]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.05)
    assert completeness_gap(net, x, None, y, integrated_gradients(net, x, None, y, 2000)).max() < 1e-6


def test_rescaled_layers_are_the_same_function_and_get_the_same(x, y):
    model = mlp((5,), 3, depth=1, width=16).double()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.hidden[0].linear.weight.mul_(7.0)
        other.hidden[0].linear.bias.mul_(7.0)
        other.output.weight.div_(7.0)
    found = (integrated_gradients(m, x, None, y, 30) for m in (model, other))
    torch.testing.assert_close(*found)


def test_entries_that_do_not_move_or_do_not_matter_get_nothing(net, x, y):
    with torch.no_grad():
        net.hidden[0].linear.weight[:, 3] = 0
    base = x.clone()
    base[:, 0] -= 1
    found = integrated_gradients(net, x, base, y, 20)
    assert found[:, 1:].abs().max() == 0
    assert integrated_gradients(net, x, None, y, 20)[:, 3].abs().max() == 0


def test_equal_entries_of_a_symmetric_function_get_the_same():
    x = torch.tensor([[2.0, 2.0, 1.0]], dtype=torch.float64)
    found = integrated_gradients(Polynomial(4), x, None, 0, 25)
    assert found[0, 0] == pytest.approx(float(found[0, 1]), abs=1e-12)


def test_batches_of_nodes_change_nothing_but_rounding(net, x, y, monkeypatch):
    whole = integrated_gradients(net, x, None, y, 13)
    monkeypatch.setattr("atml_exp.attribution.integrated_gradients._TOGETHER", 17)
    torch.testing.assert_close(integrated_gradients(net, x, None, y, 13), whole)


def test_the_model_stays(images, untouched):
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    untouched(lambda m, x, t: integrated_gradients(m, x, None, t, 5), images, x, torch.tensor([0, 1, 2, 3]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (partial(integrated_gradients, baseline=torch.zeros(4), target=0), "baseline has shape"),
        (partial(integrated_gradients, target=3), "target is 3"),
        (partial(integrated_gradients, target=torch.tensor([0, 1, 2, 0, 1, -1])), "target is -1: .* 0 to 2"),
        (partial(integrated_gradients, steps=0), "steps is 0"),
        (partial(integrated_gradients, quadrature="simpson"), "midpoint or gauss_legendre"),
    ],
)
def test_refusals(net, x, call, words):
    with pytest.raises(ValueError, match=words):
        call(net, x)


def test_rules_integrate_one_and_stay_inside():
    for quadrature in CAPTUM:
        nodes, weights = nodes_and_weights(7, quadrature)
        assert weights.sum().item() == pytest.approx(1)
        assert 0 < nodes.min() < nodes.max() < 1
