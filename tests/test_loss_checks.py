"""Each breach of a loss's contract is found and named (ours keep it: tests/losses/test_contract.py)."""

import pytest
import torch
from torch.nn import functional as F

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


def one_hot(o, y):
    return -(F.one_hot(y, 3) * o.log_softmax(1)).sum(1).mean()


def branches(o, y):
    return o.square().mean() if o.sum() > 0 else o.square().mean() * 2


SAID = {
    "nothing": (lambda o, y: None, "it gave a NoneType: it must be a scalar tensor"),
    "a float": (
        lambda o, y: cross_entropy(o, y).item(),
        "it gave a float: it must be a scalar tensor, without .item()",
    ),
    "each": (
        lambda o, y: o.square().mean(1),
        "it gave a tensor (8,): it must be a scalar, the mean over the examples",
    ),
    "item": (lambda o, y: torch.tensor(o.sum().item()), "its value has no gradient in the outputs: no .item()"),
    "argmax": (lambda o, y: (o.argmax(1) != y).double().mean(), "its value has no gradient in the outputs"),
    "in place": (lambda o, y: cross_entropy(o.mul_(2), y), "it wrote into the outputs in place"),
    "labels": (lambda o, y: cross_entropy(o, y.mul_(0)), "it wrote into the labels in place"),
    "if": (
        branches,
        "stacked under vmap, failed: RuntimeError: vmap: It looks like you're attempting to use a Tensor",
    ),
    "one_hot": (one_hot, "its gradient, with outputs and labels of single examples stacked under vmap, failed: "),
    "types": (lambda o, y: (o @ torch.ones(3, 1)).mean(), "its value failed: RuntimeError: "),
}


@pytest.mark.parametrize("name", SAID)
def test_what_does_not_fit_is_one_sentence_with_the_name(name):
    loss, said = SAID[name]
    with pytest.raises(AssertionError) as error:
        check_loss(loss, 3, Y.clone())
    assert str(error.value).startswith(f"the loss {loss.__name__}, of outputs (8, 3) and labels (8,): ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_way_out_of_one_hot_is_said_and_is_one():
    with pytest.raises(
        AssertionError, match=r"allowed: .* outputs\.gather\(1, y\[:, None\]\) in place of F.one_hot"
    ):
        check_loss(one_hot, 3, Y)
    check_loss(lambda o, y: -o.log_softmax(1).gather(1, y[:, None]).mean(), 3, Y)


def test_an_exception_of_theirs_is_the_cause():
    with pytest.raises(AssertionError) as error:
        check_loss(branches, 3, Y)
    assert isinstance(error.value.__cause__, RuntimeError)
