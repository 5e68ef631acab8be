"""Small nets, and a check that whoever explains them leaves them alone."""

import pytest
import torch
from torch import nn

from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp


@pytest.fixture
def linear():
    """F = Wx + b of 5 entries, 3 outputs."""
    torch.manual_seed(1)
    return nn.Linear(5, 3).double()


@pytest.fixture
def net():
    torch.manual_seed(2)
    return mlp((5,), 3, width=8, activation="tanh").double()


@pytest.fixture
def images():
    """A net of images (1, 8, 8) whose batch norm has seen something."""
    torch.manual_seed(3)
    model = cnn((1, 8, 8), 4, width=4, normalisation="batch").double()
    model(torch.randn(20, 1, 8, 8, dtype=torch.float64))
    return model


@pytest.fixture
def x():
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.fixture
def y():
    return torch.tensor([0, 1, 2, 2, 1, 0])


@pytest.fixture
def untouched():
    """`untouched(explain, model, x, target)`: model and random state as before, the same answer twice."""

    def check(explain, model, x, target):
        model.train()
        state = {k: v.clone() for k, v in model.state_dict().items()}
        torch.manual_seed(7)
        before, kept = torch.get_rng_state(), x.clone()
        first = explain(model, x, target)
        assert torch.equal(before, torch.get_rng_state())
        assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
        assert all(p.grad is None and p.requires_grad for p in model.parameters())
        assert all(m.training for m in model.modules())
        assert not any(m._forward_hooks for m in model.modules())
        assert torch.equal(x, kept)
        assert not x.requires_grad
        assert (first.shape, first.dtype, first.requires_grad) == (x.shape, x.dtype, False)
        torch.rand(3)
        assert torch.equal(first, explain(model, x, target))
        with torch.no_grad():
            torch.testing.assert_close(first[1:3], explain(model, x[1:3], target[1:3]))  # whoever stands beside it
        return first

    return check
