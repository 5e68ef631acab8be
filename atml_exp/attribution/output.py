"""The number that an attribution explains, its gradient in the input, and the input that it is compared with."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atml_exp.probes.features import evaluation_mode

__all__ = ["Target", "baseline_like", "input_gradient", "output_of", "targets"]

Target = int | Tensor
"""Which output is explained: one for all examples, or one for each, (N,) integers."""


def output_of(model: nn.Module, x: Tensor, target: Target) -> Tensor:
    """F(x) (N,): each example's output `target`, the logit of a class or, as 0, the only output; eval mode.

    Differentiable in x alone: the parameters are constants, and buffers stay as they are. Raises ValueError where x
    (N, *shape) isn't floating or holds no example, the outputs aren't (N, C) or (N,), or a target isn't in 0 … C−1.

    >>> output_of(nn.Identity(), torch.tensor([[1.0, 5.0], [2.0, 6.0]]), torch.tensor([0, 1]))
    tensor([1., 6.])
    """
    if not x.is_floating_point() or x.dim() < 2 or len(x) == 0:
        raise ValueError(f"x must be floating, (N, …) with N ≥ 1; got {x.dtype} of shape {tuple(x.shape)}")
    state = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state |= {name: parameter.detach() for name, parameter in model.named_parameters()}
    with evaluation_mode(model):
        outputs = functional_call(model, state, (x,))
    rows = outputs[:, None] if outputs.dim() == 1 else outputs
    if rows.dim() != 2 or len(rows) != len(x):
        raise ValueError(
            f"the model's outputs must be (N, C) or (N,); got {tuple(outputs.shape)} for {len(x)} inputs"
        )
    return rows.gather(1, targets(target, len(x), rows.shape[1]).to(rows.device)[:, None])[:, 0]


def targets(target: Target, number: int, num_outputs: int) -> Tensor:
    """(N,) int64, one of 0 … C−1 for each of N examples; ValueError for any other."""
    allowed = f"an integer from 0 to {num_outputs - 1}, or {number} of them"
    chosen = torch.as_tensor(target)
    if chosen.is_floating_point() or chosen.dtype == torch.bool or chosen.shape not in ((), (number,)):
        raise ValueError(f"target is {chosen.dtype} of shape {tuple(chosen.shape)}: it must be {allowed}")
    wrong = chosen[(chosen < 0) | (chosen >= num_outputs)]
    if wrong.numel():
        raise ValueError(f"target is {int(wrong.flatten()[0])}: it must be {allowed}")
    return chosen.long().expand(number)


def input_gradient(model: nn.Module, x: Tensor, target: Target) -> Tensor:
    """∂F/∂x, of x's shape: that of each example's own output by its own input, in eval mode; see `output_of`.

    0 where F doesn't depend on x. The parameters' gradients stay as they are.

    >>> input_gradient(nn.Flatten(), torch.ones(1, 3), 1)
    tensor([[0., 1., 0.]])
    """
    point = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = output_of(model, point, target).sum()
    if not total.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(total, point, materialize_grads=True)
    return gradient


def baseline_like(x: Tensor, baseline: Tensor | None) -> Tensor:
    """The baseline x′ in x's shape, type and device: zeros for None; ValueError unless it broadcasts to x."""
    if baseline is None:
        return torch.zeros_like(x)
    shape = tuple(baseline.shape)
    if len(shape) > x.dim() or any(a not in (1, b) for a, b in zip(shape[::-1], x.shape[::-1], strict=False)):
        raise ValueError(f"baseline has shape {shape}: it must broadcast to that of x, {tuple(x.shape)}")
    return baseline.detach().to(x).expand(x.shape)
