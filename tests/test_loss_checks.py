"""Each breach of a loss's contract is found and named (ours keep it: tests/losses/test_contract.py)."""

import pytest
import torch

from atml_exp.loss_checks import check_loss, keeps_dtype
from atml_exp.losses.cross_entropy import cross_entropy

Y = torch.arange(8) % 3


class WrongGradient(torch.autograd.Function):
    """o ↦ log Σ exp o, with a gradient that is wrong by a factor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(o):
        return o.logsumexp(1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (o,) = ctx.saved_tensors
        return 2 * o.softmax(1) * g[:, None]

    @staticmethod
    def jvp(ctx, t):  # asked for, and not what is wrong first
        return t.sum(1)


def test_a_loss_that_keeps_it_passes():
    check_loss(cross_entropy, 3, Y)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda o, y: cross_entropy(o, y) * len(y), "isn't the mean of the losses of its examples"),
        (lambda o, y: cross_entropy(o, y) + o.std(0, correction=0).sum(), "isn't the mean of the losses"),
        (lambda o, y: WrongGradient.apply(o).mean(), "the gradient isn.t that of finite differences"),
        (lambda o, y: o.square().mean(1), "a scalar"),
    ],
)
def test_each_breach_is_found_and_named(loss, message):
    with pytest.raises(AssertionError, match=message):
        check_loss(loss, 3, Y)


def test_another_type_is_found():
    with pytest.raises(AssertionError, match=r"outputs in torch.float64 gave a loss in torch.float32"):
        keeps_dtype(lambda o, y: cross_entropy(o, y).float(), 3, Y, torch.float64)
