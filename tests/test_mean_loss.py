"""The loss as a function of the weights against the model itself, and what it must refuse."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from atml_exp.mean_loss import MeanLoss


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = normal(17, 3), torch.arange(17) % 4


def net(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), *middle, nn.Tanh(), nn.Linear(5, 4)).double()


@pytest.mark.parametrize("chunk_size", [None, 1, 5, 17, 100])
def test_loss_and_gradient_are_those_of_the_model(chunk_size):
    model = net()
    loss = MeanLoss(model, cross_entropy, X, Y, chunk_size=chunk_size)
    assert torch.equal(loss.w, parameters_to_vector(model.parameters()))
    truth = cross_entropy(model(X), Y)
    gradient = parameters_to_vector(torch.autograd.grad(truth, list(model.parameters())))
    value, g = loss.with_gradient(loss.w)
    assert value == pytest.approx(truth.item(), rel=1e-14)
    assert loss(loss.w) == pytest.approx(value, rel=1e-14)
    torch.testing.assert_close(g, gradient)


def test_at_other_weights():
    model, w = net(), normal(44, seed=1)
    loss = MeanLoss(model, cross_entropy, X, Y)
    before = parameters_to_vector(model.parameters()).clone()
    moved = net()
    nn.utils.vector_to_parameters(w, moved.parameters())
    assert loss(w) == pytest.approx(cross_entropy(moved(X), Y).item(), rel=1e-14)
    assert torch.equal(parameters_to_vector(model.parameters()), before)


def test_float32_models_are_computed_in_float64():
    model = net(nn.BatchNorm1d(5)).float().eval()
    loss = MeanLoss(model, cross_entropy, X.float(), Y)
    double = MeanLoss(net(nn.BatchNorm1d(5)).float().double().eval(), cross_entropy, X.float().double(), Y)
    assert loss(loss.w) == double(loss.w)
    assert next(model.parameters()).dtype == torch.float32


def test_frozen_parameters_and_buffers_stay():
    model = net(nn.BatchNorm1d(5))
    model[0].requires_grad_(False)
    loss = MeanLoss(model, cross_entropy, X, Y)
    assert len(loss.w) == 34
    state = {n: t.clone() for n, t in model.state_dict().items()}
    loss.with_gradient(loss.w + 1)
    assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())


def test_a_loss_that_depends_on_no_weight_has_gradient_0():
    loss = MeanLoss(net(), lambda o, y: y.double().mean(), X, Y)
    assert loss.with_gradient(loss.w)[1].tolist() == [0] * 44


def test_refusals():
    model = net()
    with pytest.raises(ValueError, match="x holds 0 examples and y 0"):
        MeanLoss(model, cross_entropy, X[:0], Y[:0])
    with pytest.raises(ValueError, match="chunk_size is 0: it must be at least 1"):
        MeanLoss(model, cross_entropy, X, Y, chunk_size=0)
    with pytest.raises(ValueError, match=r"loss_fn gave the shape \(17,\)"):
        MeanLoss(model, lambda o, y: o[:, 0], X, Y)
    with pytest.raises(ValueError, match="the loss is nan"):
        MeanLoss(model, cross_entropy, X * math.nan, Y)
    with pytest.raises(ValueError, match="with chunk_size it must be a mean"):
        MeanLoss(model, lambda o, y: cross_entropy(o, y, reduction="sum"), X, Y, chunk_size=5)
    with pytest.raises(ValueError, match="no parameters that require gradients"):
        MeanLoss(nn.Identity(), cross_entropy, X, Y)
    random = torch.get_rng_state()
    dropping = nn.Sequential(net(), nn.Dropout()).train()
    torch.set_rng_state(random)
    with pytest.raises(ValueError, match=r"evaluations of the loss differ .* call model.eval\(\)"):
        MeanLoss(dropping, cross_entropy, X, Y)
    assert torch.equal(torch.get_rng_state(), random)
