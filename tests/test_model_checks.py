"""Each breach of a model's contract is found and named (ours keep it: tests/models/test_contract.py)."""

import pytest
import torch
from torch import nn

from atml_exp.model_checks import check_model

SHAPE, K = (4,), 3


class Of(nn.Module):
    """A net of one hidden layer, with a function between its layers."""

    def __init__(self, between=torch.tanh, outputs=K):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(4, 5), nn.Linear(5, outputs), between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


def constant(input_shape, num_outputs):
    model = Of()
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    return model


def own_generator(input_shape, num_outputs):
    model = Of()
    with torch.no_grad():
        model.first.weight.copy_(torch.randn(5, 4, generator=torch.Generator().manual_seed(next(COUNT))))
    return model


COUNT = iter(range(100))


class Scaled(Of):
    """With a number of its own that is neither parameter nor buffer: stacked replicas would share the first's."""

    def __init__(self):
        super().__init__()
        self.scale = torch.rand(())

    def forward(self, x):
        return self.scale * super().forward(x)


class Straight(nn.Module):
    """Its weights enter the outputs' signs alone: no derivative of the loss in them is anything but 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, 4))

    def forward(self, x):
        return x @ (self.weight * 0 + self.weight.detach()).T


class Wrong(torch.autograd.Function):
    """x ↦ x², with a second derivative that is wrong."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x.detach() * g


def test_a_net_that_keeps_it_passes():
    check_model(lambda input_shape, num_outputs: Of(), SHAPE, K)
    check_model(lambda input_shape, num_outputs: Of(nn.Dropout(0.5)), SHAPE, K)  # in training mode it may draw


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda shape, k: Of(outputs=k + 1), r"outputs \(5, 4\) for 5 examples: they must be \(5, 3\)"),
        (lambda shape, k: Of(lambda h: h.float().tanh().double().float()), "must have the same dtype"),
        (constant, "two seeds gave the same initial weights"),
        (own_generator, "first.weight is another one under the same seed"),
        (lambda shape, k: Of(lambda h: h + 0 * torch.rand(1)), "drew a random number"),
        (lambda shape, k: Of(lambda h: h - h.mean(0)), "outputs in eval mode of an example among others differ"),
        (lambda shape, k: Scaled(), "outputs of stacked replicas differ from those of each alone"),
        (lambda shape, k: Straight(), "no second derivative in the weights"),
        (lambda shape, k: Of(Wrong.apply), "double backward is off the difference quotient"),
    ],
)
def test_each_breach_is_found_and_named(make, message):
    with pytest.raises((AssertionError, RuntimeError), match=message):
        check_model(make, SHAPE, K)


class Plain(Of):
    """A weight that isn't a parameter."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(4, 4)

    def forward(self, x):
        return super().forward(x @ self.weight)


class Asks(Of):
    def forward(self, x):
        return super().forward(x / 2 if x.max().item() > 1 else x)


class Scales(Of):
    def forward(self, x):
        return super().forward(x.mul_(2))


SAID = {
    "a tuple": (lambda shape, k: Then(lambda o: (o, o)), "forward gave a tuple: it must be a tensor (5, 3)"),
    "nothing": (lambda shape, k: Then(lambda o: None), "forward gave a NoneType: it must be a tensor (5, 3)"),
    "no model": (lambda shape, k: None, "gave a NoneType for a model: it must be a torch.nn.Module"),
    "plain": (lambda shape, k: Plain(), "; weight: a plain tensor, neither trained, seeded, stacked"),
    "detached": (lambda shape, k: Then(torch.Tensor.detach), "its outputs have no gradient in its weights"),
    "in place": (lambda shape, k: Scales(), "forward wrote into its inputs in place"),
    "shapes": (
        lambda shape, k: nn.Linear(shape[0] + 1, k),
        "its forward pass in float64 failed: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ),
    "asks": (
        lambda shape, k: Asks(),
        "replicas stacked under vmap, each with its own inputs failed: RuntimeError: vmap: It looks like you're",
    ),
    "raises": (lambda shape, k: 1 / 0, "making it failed: ZeroDivisionError: division by zero"),
}


class Then(Of):
    """With something done to its outputs."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(super().forward(x))


@pytest.mark.parametrize("name", SAID)
def test_what_does_not_fit_is_one_sentence_with_the_name(name):
    make, said = SAID[name]
    with pytest.raises(AssertionError) as error:
        check_model(make, SHAPE, K)
    assert str(error.value).startswith("the model <lambda>, on inputs (5, 4): ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "cause"), [("asks", RuntimeError), ("raises", ZeroDivisionError)])
def test_an_exception_of_theirs_is_the_cause(name, cause):
    with pytest.raises(AssertionError) as error:
        check_model(SAID[name][0], SHAPE, K)
    assert isinstance(error.value.__cause__, cause)
