"""The contract of a loss as an executable check: a mean over examples, stacked and differentiated twice."""

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import grad, jacrev, jvp, vmap

from atml_exp.breaches import breaches_of, name_of, require, trying

__all__ = ["LOSS_CHECKS", "check_loss", "keeps_dtype"]

Loss = Callable[[Tensor, Tensor], Tensor]
OfWeights = Callable[..., Tensor]
"""f(w, x, y) of the weights of a small smooth net (P,), inputs (N, D) and labels."""
NUM_INPUTS, WIDTH = 4, 5


def check_loss(loss: Loss, num_outputs: int, y: Tensor) -> None:
    """Runs all `LOSS_CHECKS` and `keeps_dtype`. AssertionError with a sentence where one fails, or the loss itself.

    loss(outputs (N, num_outputs), y) → scalar; y: labels (N,) as the loss is made for, N at least 2.
    """
    with breaches_of(f"the loss {name_of(loss)}, of outputs {(len(y), num_outputs)} and labels {tuple(y.shape)}"):
        for name, check in LOSS_CHECKS.items():
            with trying(*TRIED[name]):
                check(loss, num_outputs, y)
        for dtype in (torch.float32, torch.float64):
            with trying(f"its value in {dtype}", "operations that keep the type of the outputs"):
                keeps_dtype(loss, num_outputs, y, dtype)


def keeps_dtype(loss: Loss, num_outputs: int, y: Tensor, dtype: torch.dtype) -> None:
    """The loss is of the type of the outputs."""
    found = loss(torch.ones(len(y), num_outputs, dtype=dtype), y.to(dtype) if y.is_floating_point() else y).dtype
    assert found == dtype, f"outputs in {dtype} gave a loss in {found}"


def _gives_a_number(loss: Loss, num_outputs: int, y: Tensor) -> None:
    outputs = _outputs(num_outputs, y).requires_grad_()
    value = loss(outputs * 1, y.clone())  # which it may write into: that is said by another check
    require(
        isinstance(value, Tensor), f"it gave a {type(value).__name__}: it must be a scalar tensor, without .item()"
    )
    shape = tuple(value.shape)
    require(shape == (), f"it gave a tensor {shape}: it must be a scalar, the mean over the examples")
    require(
        value.requires_grad,
        "its value has no gradient in the outputs: no .item(), detach, argmax or comparison lies between",
    )


def _leaves_its_inputs(loss: Loss, num_outputs: int, y: Tensor) -> None:
    outputs, labels = _outputs(num_outputs, y), y.clone()
    loss(outputs, labels)
    same = torch.equal(outputs, _outputs(num_outputs, y))
    require(same, "it wrote into the outputs in place: it must make new tensors of them, o * 2 and not o.mul_(2)")
    require(torch.equal(labels, y), "it wrote into the labels in place: it must make new tensors of them")


def _is_a_mean(loss: Loss, num_outputs: int, y: Tensor) -> None:
    f, x, w = _of_weights(loss, num_outputs), _inputs(y), _weights(num_outputs)
    each = vmap(lambda x, y: f(w, x[None], y[None]))(x, y)
    assert each.shape == (len(y),), f"the loss of one example has the shape {tuple(each.shape[1:])}: a scalar"
    _close(each.mean(), f(w, x, y), "the loss isn't the mean of the losses of its examples")


def _gradients_average(loss: Loss, num_outputs: int, y: Tensor) -> None:
    f, x, w = _of_weights(loss, num_outputs), _inputs(y), _weights(num_outputs)
    each = vmap(lambda x, y: grad(f)(w, x[None], y[None]))(x, y)
    _close(each.mean(0), grad(f)(w, x, y), "the gradient isn't the mean of those of the examples")


def _weights_stack(loss: Loss, num_outputs: int, y: Tensor) -> None:
    f, x, w = _of_weights(loss, num_outputs), _inputs(y), _weights(num_outputs)
    ws = torch.stack([w, -w, 2 * w])
    stacked = vmap(lambda w: grad(f)(w, x, y))(ws)
    alone = torch.stack([grad(f)(w, x, y) for w in ws])
    _close(stacked, alone, "stacked weights give another gradient than each alone", 1e-12)


def _labels_stack(loss: Loss, num_outputs: int, y: Tensor) -> None:
    f, x, w = _of_weights(loss, num_outputs), _inputs(y), _weights(num_outputs)
    ys = torch.stack([y, y.flip(0)])
    alone = torch.stack([f(w, x, y) for y in ys])
    _close(vmap(lambda y: f(w, x, y))(ys), alone, "stacked labels give another loss than each alone")


def _ways_to_differentiate_twice_agree(loss: Loss, num_outputs: int, y: Tensor) -> None:
    x, w = _inputs(y), _weights(num_outputs)
    v = torch.randn(len(w), generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def f(w: Tensor) -> Tensor:
        return _of_weights(loss, num_outputs)(w, x, y)

    expected = jacrev(jacrev(f))(w) @ v
    leaf = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    (double_backward,) = torch.autograd.grad(g, leaf, v)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".torch.jit.script", DeprecationWarning)  # torch's forward mode itself
        forward = {"jvp(grad)": jvp(grad(f), (w,), (v,))[1], "jvp(jacrev)": jvp(jacrev(f), (w,), (v,))[1]}
    for name, found in {"double backward": double_backward, **forward}.items():
        _close(found, expected, f"{name} gives another Hv than the Hessian by jacrev")


def _gradient_is_right(loss: Loss, num_outputs: int, y: Tensor) -> None:
    x = _inputs(y)
    leaf = _weights(num_outputs).requires_grad_()
    right = torch.autograd.gradcheck(lambda w: _of_weights(loss, num_outputs)(w, x, y), leaf, raise_exception=False)
    assert right, "the gradient isn't that of finite differences"


LOSS_CHECKS: Mapping[str, Callable[[Loss, int, Tensor], None]] = {
    "gives_a_number": _gives_a_number,
    "leaves_its_inputs": _leaves_its_inputs,
    "is_a_mean": _is_a_mean,
    "gradients_average": _gradients_average,
    "weights_stack": _weights_stack,
    "labels_stack": _labels_stack,
    "ways_to_differentiate_twice_agree": _ways_to_differentiate_twice_agree,
    "gradient_is_right": _gradient_is_right,
}
"""What holds of every loss, by name: check(loss, num_outputs, y)."""

SCALAR = (
    "a function of outputs (N, num_outputs) and labels (N,) that gives a scalar tensor, their mean over examples"
)
VALUES = (
    "torch's operations, without asking for a value: outputs.gather(1, y[:, None]) in place of F.one_hot, "
    "torch.where in place of an if, no .item()"
)
TWICE = "torch's operations, which autograd differentiates twice, forward and backward"
TRIED: Mapping[str, tuple[str, str]] = {
    "gives_a_number": ("its value", SCALAR),
    "leaves_its_inputs": ("its value", SCALAR),
    "is_a_mean": ("its value, with outputs and labels of single examples stacked under vmap,", VALUES),
    "gradients_average": ("its gradient, with outputs and labels of single examples stacked under vmap,", VALUES),
    "weights_stack": ("its gradient, with outputs stacked under vmap,", VALUES),
    "labels_stack": ("its value, with labels stacked under vmap,", VALUES),
    "ways_to_differentiate_twice_agree": ("its second derivative", TWICE),
    "gradient_is_right": ("its gradient", TWICE),
}
"""Of each check, what is tried of the loss, and what is allowed there."""


def _of_weights(loss: Loss, num_outputs: int) -> OfWeights:
    split = NUM_INPUTS * WIDTH

    def f(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        hidden = torch.tanh(x @ w[:split].view(NUM_INPUTS, WIDTH))
        return loss(hidden @ w[split:].view(WIDTH, num_outputs), y)

    return f


def _outputs(num_outputs: int, y: Tensor) -> Tensor:
    return torch.randn(len(y), num_outputs, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _inputs(y: Tensor) -> Tensor:
    return torch.randn(len(y), NUM_INPUTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _weights(num_outputs: int) -> Tensor:
    size = NUM_INPUTS * WIDTH + WIDTH * num_outputs
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _close(found: Tensor, expected: Tensor, message: str, rtol: float = 1e-7) -> None:
    if not torch.allclose(found, expected, rtol=rtol, atol=1e-2 * rtol):
        raise AssertionError(f"{message}: off by up to {(found - expected).abs().max().item():.1e}")
