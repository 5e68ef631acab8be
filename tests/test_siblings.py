"""Nets trained beside a run equal those that the run's own loop trains."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.sgd import SGD
from atml_exp.siblings import trained


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DATA = Split(normal(40, 5), torch.arange(40) % 3)
TRAIN = partial(trained, loss=cross_entropy, steps=7, batch_size=8)


def net(**options) -> nn.Module:
    torch.manual_seed(0)
    return mlp((5,), 3, depth=1, width=6, **options).double()


def parameters(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_full_batches_are_plain_gradient_descent():
    truth = net()
    for _ in range(3):
        gradient = torch.autograd.grad(cross_entropy(truth(DATA.x), DATA.y), list(truth.parameters()))
        with torch.no_grad():
            for p, g in zip(truth.parameters(), gradient, strict=True):
                p -= 0.5 * g
    model = net()
    found = TRAIN(model, DATA, seed=1, optimiser=SGD(0.5), steps=3, batch_size=None)
    torch.testing.assert_close(parameters(found), parameters(truth))
    assert torch.equal(parameters(model), parameters(net()))
    assert not any(m.training for m in found.modules())


def test_equal_seeds_give_equal_nets_and_others_other_ones():
    one, same, other = (parameters(TRAIN(net(), DATA, seed=s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_batch_norm_goes_on_from_the_models_statistics_and_leaves_them():
    model = net(normalisation="batch")
    before = copy.deepcopy(model.state_dict())
    found = TRAIN(model, DATA, seed=1)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert not torch.equal(found.state_dict()["hidden.0.norm.running_mean"], before["hidden.0.norm.running_mean"])


def test_dropout_is_drawn_from_the_seed():
    model = nn.Sequential(nn.Linear(5, 20), nn.Dropout(0.5), nn.Linear(20, 3)).double()
    one, same = (parameters(TRAIN(model, DATA, seed=1)) for _ in range(2))
    assert torch.equal(one, same)


def test_a_training_that_diverges_is_refused():
    with pytest.raises(ValueError, match="training a net with seed 5 diverged"):
        TRAIN(net(), DATA, seed=5, loss=lambda o, y: o.square().mean(), optimiser=SGD(1e30), steps=50)


def test_what_is_pruned_stays_so():
    """Weights of 0 stay 0, and the others are trained; without the option they grow back."""
    pruned = net()
    with torch.no_grad():
        pruned.output.weight[:, :2] = 0.0
        pruned.output.bias[1] = 0.0  # a bias isn't pruned
    options = {"loss": cross_entropy, "seed": 0, "steps": 5, "batch_size": 4}
    kept, regrown = (trained(pruned, DATA, **options, pruned=flag) for flag in (True, False))
    assert not kept.output.weight[:, :2].any()
    assert (kept.output.weight[:, 2:] != 0).all()
    assert kept.output.bias[1] != 0
    assert regrown.output.weight[:, :2].any()
