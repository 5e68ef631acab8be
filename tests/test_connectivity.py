"""Barriers with known heights; a curve around a hill that the line runs into."""

import math

import pytest
import torch
from torch import Tensor, nn

from atml_exp.connectivity import bezier, curve_barrier, linear_barrier
from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.sgd import SGD
from atml_exp.weight_matching import permuted, random_permutations, weight_matching


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = normal(60, 1, 8, 8)
DATA = Split(X, (3 * X.mean((1, 2, 3)) > 0).long() + (X[:, 0, 0, 0] > 0).long())


def net(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return mlp((1, 8, 8), 3, width=16, **options).double().eval()


def fitted(seed: int = 0, **options) -> nn.Module:
    model = net(seed, **options).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(150):
        optimiser.zero_grad()
        cross_entropy(model(DATA.x), DATA.y).backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_a_net_has_no_barrier_to_itself(normalisation):
    model = fitted(normalisation=normalisation)
    found = linear_barrier(model, model, DATA)
    assert found.error == 0
    assert found.loss == pytest.approx(0, abs=1e-12)


def test_the_ends_are_the_nets_themselves():
    one, other = fitted(0), fitted(1)
    found = linear_barrier(one, other, DATA)
    assert found.alphas[[0, -1]].tolist() == [1, 0]
    for place, model in ((0, one), (-1, other)):
        torch.testing.assert_close(found.losses[place], cross_entropy(model(DATA.x), DATA.y).detach())
        assert found.errors[place] == (model(DATA.x).argmax(1) != DATA.y).double().mean()


def test_permuted_units_are_a_barrier_and_undoing_it_is_none():
    model = fitted()
    other = permuted(model, random_permutations(model, X[:4], seed=1), X[:4])
    found = linear_barrier(model, other, DATA)
    torch.testing.assert_close(found.losses[0], found.losses[-1])
    assert found.errors[0] == found.errors[-1]
    assert found.loss > 0.1
    assert found.error > 0.05
    undone = linear_barrier(model, weight_matching(model, other, X[:4]).model, DATA)
    assert undone.error == 0
    assert undone.loss == pytest.approx(0, abs=1e-12)


def test_the_barrier_of_a_known_loss():
    """L = (w² − 1)² has minima at ±1 and the value 1 midway; a convex loss has no barrier between equal ends."""
    one, other = linear(1.0), linear(-1.0)
    data = Split(torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    found = linear_barrier(one, other, data, loss=lambda o, y: (o.square() - 1).square().mean())
    torch.testing.assert_close(found.losses, ((2 * found.alphas - 1) ** 2 - 1) ** 2)
    assert (found.loss, found.error, found.errors) == (1.0, None, None)
    assert linear_barrier(one, other, data, loss=lambda o, y: o.square().mean()).loss == 0
    assert linear_barrier(linear(3.0), linear(1.0), data, loss=lambda o, y: o.mean()).loss == 1  # ½|E(0) − E(1)|


def linear(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, value)
    return model


def test_batch_norm_statistics_are_recomputed_on_the_training_set():
    one, other = fitted(0, normalisation="batch"), fitted(1, normalisation="batch")
    test = Split(2 * normal(30, 1, 8, 8, seed=3), torch.arange(30) % 3)
    found = linear_barrier(one, other, test, statistics=DATA)
    for module in one.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
    one.train()(DATA.x)
    torch.testing.assert_close(found.losses[0], cross_entropy(one.eval()(test.x), test.y).detach())
    assert not torch.allclose(found.losses, linear_barrier(one, other, test).losses)


class Ring(nn.Module):
    """Weights (u, v) whose loss is (u² + v² − 1)²: zero on a ring, 1 in its middle."""

    def __init__(self, u: float, v: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([u, v], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.w.square().sum() - 1)


def test_a_curve_goes_around_the_hill_that_the_line_runs_into():
    """The best quadratic curve is known: the mean over α of the loss is the least over θ = (0, h)."""
    one, other = Ring(1, 0), Ring(-1, 0.1)
    data = Split(torch.ones(20, 1, dtype=torch.float64), torch.zeros(20, 1, dtype=torch.float64))

    def loss(o: Tensor, y: Tensor) -> Tensor:
        return o.square().mean()

    middle = bezier(one, other, data, loss=loss, optimiser=SGD(0.02), steps=4000, batch_size=5)
    line, curve = linear_barrier(one, other, data, loss=loss), curve_barrier(one, middle, other, data, loss=loss)
    assert line.loss > 0.9
    assert curve.loss < 0.1
    assert [one.w.tolist(), other.w.tolist()] == [[1, 0], [-1, 0.1]]
    torch.testing.assert_close(curve.losses[[0, -1]], line.losses[[0, -1]])
    a = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    grid = torch.linspace(1, 2, 201, dtype=torch.float64)
    ends = a**2 * one.w.detach() + (1 - a) ** 2 * other.w.detach()
    means = [(ends + 2 * a * (1 - a) * torch.tensor([0.0, h])).square().sum(1).sub(1).square().mean() for h in grid]
    best = grid[torch.stack(means).argmin()]
    assert middle.w[1].item() == pytest.approx(best.item(), rel=0.05)


def test_a_curve_with_its_control_point_midway_is_the_line():
    one, other = fitted(0), fitted(1)
    middle = net()
    with torch.no_grad():
        for p, a, b in zip(middle.parameters(), one.parameters(), other.parameters(), strict=True):
            p.copy_((a + b) / 2)
    line, curve = linear_barrier(one, other, DATA), curve_barrier(one, middle, other, DATA)
    torch.testing.assert_close(line.losses, curve.losses)
    untrained = bezier(one, other, DATA, steps=0, batch_size=None)
    w = [Layout.of(m).vector(dict(m.named_parameters())) for m in (untrained, middle)]
    torch.testing.assert_close(*w)


def test_training_a_curve_lowers_the_barrier_of_batch_norm_nets_too():
    one, other = fitted(0, normalisation="batch"), fitted(1, normalisation="batch")
    before = [p.clone() for p in one.state_dict().values()]
    middle = bezier(one, other, DATA, optimiser=Momentum(0.05), steps=300, batch_size=20)
    line, curve = linear_barrier(one, other, DATA), curve_barrier(one, middle, other, DATA)
    assert curve.loss < line.loss / 2
    assert all(torch.equal(a, b) for a, b in zip(before, one.state_dict().values(), strict=True))


def test_what_has_no_path_is_refused():
    with pytest.raises(ValueError, match="num_points is 29: at least 30"):
        linear_barrier(net(), net(1), DATA, num_points=29)
    with pytest.raises(ValueError, match="the nets of a path must have the same parameters and shapes"):
        linear_barrier(net(), net(depth=1), DATA)
    with pytest.raises(ValueError, match="training the curve diverged"):
        bezier(
            Ring(1, 0),
            Ring(-1, 0),
            Split(X[:, 0, 0, :1], X[:, 0, 0, :1]),
            loss=mse,
            optimiser=SGD(1e9),
            batch_size=None,
        )


def test_a_barrier_that_is_no_number_is_none_at_all():
    data = Split(torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    found = linear_barrier(linear(1.0), linear(-1.0), data, loss=lambda o, y: o.log().mean())
    assert math.isnan(found.loss)
