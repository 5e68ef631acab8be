"""The loss at many weights against the model itself, one weight vector at a time."""

import copy

import pytest
import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.loss_at import loss_at, recompute_statistics
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DATA = Split(normal(50, 1, 8, 8), torch.arange(50) % 3)
OTHER = Split(3 * normal(40, 1, 8, 8, seed=1) + 1, torch.arange(40) % 3)
COEFFICIENTS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1.0, -0.3]])


def model_of(make, **options) -> nn.Module:
    torch.manual_seed(0)
    return make((1, 8, 8), 3, width=8, **options).double()


def vectors(model: nn.Module) -> Tensor:
    w = Layout.of(model).vector(dict(model.named_parameters()))
    return torch.stack([w, w + 0.1 * normal(len(w), seed=2)])


def with_weights(model: nn.Module, w: Tensor) -> nn.Module:
    other = copy.deepcopy(model)
    other.load_state_dict({**model.state_dict(), **Layout.of(model).named(w)})
    return other.eval()


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_is_the_loss_and_the_error_of_each_of_the_nets(make, chunk_size):
    model = model_of(make)
    found = loss_at(model, vectors(model), COEFFICIENTS, DATA, chunk_size=chunk_size)
    for i, c in enumerate(COEFFICIENTS.double()):
        outputs = with_weights(model, c @ vectors(model))(DATA.x)
        torch.testing.assert_close(found.loss[i], cross_entropy(outputs, DATA.y))
        assert found.error[i] == (outputs.argmax(1) != DATA.y).double().mean()


@pytest.mark.parametrize("make", [mlp, cnn])
def test_statistics_are_those_of_a_pass_in_training_mode(make):
    """With momentum 1 the running statistics are those of the one batch."""
    model = model_of(make, normalisation="batch")
    found = loss_at(model, vectors(model), COEFFICIENTS, OTHER, statistics=DATA)
    kept = loss_at(model, vectors(model), COEFFICIENTS, OTHER)
    for i, c in enumerate(COEFFICIENTS.double()):
        net = with_weights(model, c @ vectors(model))
        torch.testing.assert_close(kept.loss[i], cross_entropy(net(OTHER.x), OTHER.y))
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        net.train()(DATA.x)
        torch.testing.assert_close(found.loss[i], cross_entropy(net.eval()(OTHER.x), OTHER.y))
    assert not torch.allclose(found.loss, kept.loss)


def test_statistics_of_many_examples_are_means_over_batches():
    model = nn.Sequential(nn.BatchNorm1d(2)).double()
    x = normal(5000, 2)
    state = {n: t[None].clone() for n, t in model.state_dict().items()}
    recompute_statistics(model, state, x)
    parts = x.tensor_split(3)
    torch.testing.assert_close(state["0.running_mean"][0], torch.stack([p.mean(0) for p in parts]).mean(0))
    torch.testing.assert_close(state["0.running_var"][0], torch.stack([p.var(0) for p in parts]).mean(0))
    assert model[0].momentum == 0.1
    assert not model[0].training


def test_a_regression_has_no_error_and_frozen_parameters_stay():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).double()
    model[0].requires_grad_(False)
    data = Split(normal(9, 2), normal(9, 1))
    w = Layout.of(model).vector(dict(model.named_parameters()))[None]
    found = loss_at(model, w, torch.eye(1), data, loss=nn.MSELoss())
    torch.testing.assert_close(found.loss[0], nn.MSELoss()(model(data.x), data.y).detach())
    assert found.error is None


def test_leaves_the_model_as_it_is():
    model = model_of(cnn, normalisation="batch").train()
    before = copy.deepcopy(model.state_dict())
    loss_at(model, vectors(model), COEFFICIENTS, DATA, statistics=DATA)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": torch.zeros(2, 3)}, r"vectors has shape \(2, 3\): it must be \(K, 4\)"),
        ({"coefficients": torch.zeros(2, 3)}, r"coefficients has shape \(2, 3\): it must be \(G, 2\)"),
        ({"coefficients": torch.zeros(0, 2)}, r"coefficients has shape \(0, 2\)"),
        ({"data": Split(torch.zeros(0, 1), torch.zeros(0, 2))}, "data holds no example"),
        ({"chunk_size": 0}, "chunk_size is 0: it must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {
        "vectors": torch.zeros(2, 4),
        "coefficients": torch.eye(2),
        "data": Split(torch.zeros(1, 1), torch.zeros(1, 2)),
    }
    with pytest.raises(ValueError, match=message):
        loss_at(nn.Linear(1, 2), **{**given, **change}, loss=nn.MSELoss())
