"""The error of a quadrature against closed forms of polynomials and kinks, and theory's constants."""

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.mlp import mlp
from atml_exp.probes.completeness import completeness, slopes_on_the_way

X = torch.rand(30, 4, generator=torch.Generator().manual_seed(0)) + 0.5
DATA = Split(X, torch.arange(30) % 3)


class Cube(nn.Module):
    """F = Σ x³: g = 3α²s with s = F(x), so g′(1) − g′(0) = 6s; the midpoint rule leaves s/(4m²)."""

    def forward(self, x):
        return x.pow(3).sum(1, keepdim=True)


class Kink(nn.Module):
    """F = relu(Σx − c): one jump of g, by Σx, where α = c/Σx."""

    def forward(self, x):
        return (x.sum(1, keepdim=True) - 1.0).relu()


def test_a_cubic_has_the_leading_term_alone():
    found = completeness(Cube(), DATA, steps=(1, 4, 10))
    torch.testing.assert_close(found["midpoint"], 1 / (4 * torch.tensor([1.0, 4, 10]).double() ** 2))
    assert found["smooth"] == pytest.approx(1 / 4, rel=1e-3)
    assert found["gauss_legendre"][1:].max() < 1e-12
    assert found["integrated_gradients"] == pytest.approx(1 / 400)
    assert found["gradient_input"] == pytest.approx(2)  # 3s − s
    assert found["occlusion"] < 1e-12  # additive


def test_a_kink_has_its_jump():
    found = completeness(Kink(), DATA, steps=(3, 40), num_examples=30)
    total = X.double().sum(1)
    size = (total - 1).sum()
    assert found["kinked"] == pytest.approx(float((total / 2).sum() / size))
    assert found["typical"] == pytest.approx(float((total / 12**0.5).sum() / size))
    exact = [
        ((total * ((_nodes(m) * total[:, None] > 1).double().mean(1))) - (total - 1)).abs().sum() for m in (3, 40)
    ]
    torch.testing.assert_close(found["midpoint"], torch.stack(exact) / size)
    assert bool((found["midpoint"] <= found["kinked"] / torch.tensor([3.0, 40.0])).all())


def _nodes(m):
    return ((torch.arange(m).double() + 0.5) / m)[None]


def test_smooth_nets_follow_the_constant_and_kinked_ones_stay_below_theirs():
    torch.manual_seed(0)
    smooth = completeness(mlp((4,), 3, width=16, activation="tanh", initial_scale=2.0), DATA, steps=(64,))
    assert smooth["midpoint"][0] == pytest.approx(smooth["smooth"] / 64**2, rel=0.01)
    kinked = completeness(mlp((4,), 3, width=16), DATA, steps=(8, 64))
    assert bool((kinked["midpoint"] <= kinked["kinked"] / kinked["steps"]).all())


def test_gradient_times_input_is_complete_without_biases():
    assert completeness(mlp((4,), 3, width=16, bias=False), DATA, steps=(1,))["gradient_input"] < 1e-12
    assert completeness(mlp((4,), 3, width=16), DATA, steps=(1,))["gradient_input"] > 1e-3


def test_slopes_are_differences_of_the_output():
    model, start = mlp((4,), 3, width=16, activation="tanh").double(), torch.zeros(4).double()
    x, y = X[:3].double(), torch.tensor([0, 1, 2])
    g = slopes_on_the_way(model, x, start, y, torch.tensor([0.3]))[0]
    up, down = (model(a * x).gather(1, y[:, None])[:, 0] for a in (0.3 + 1e-5, 0.3 - 1e-5))
    torch.testing.assert_close(g, (up - down).detach() / 2e-5, atol=1e-8, rtol=0)


def test_it_leaves_the_model_alone():
    check_probe(lambda m, d: completeness(m, d, steps=(1, 2), resolution=16), mlp((4,), 3, width=4), DATA)
