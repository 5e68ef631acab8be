"""Half the mean squared error."""

import torch
from torch import Tensor

__all__ = ["mse"]


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ ½‖oᵢ − yᵢ‖²: a sum over the outputs, a mean over examples.

    outputs (N, K); y floating (N, K), or (N,) for K = 1, or integer classes (N,), which stand for their one-hot
    vectors. Its gradient in oᵢ is (oᵢ − yᵢ)/N; its Hessian for linear regression is XᵀX/N. ValueError where the
    shapes don't match: nothing is broadcast.

    >>> mse(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0])).item()
    2.5
    """
    target = _targets(outputs, y) if outputs.dim() == 2 and outputs.shape[:1] == y.shape[:1] else y
    if outputs.dim() != 2 or target.shape != outputs.shape:
        raise ValueError(
            "mse needs outputs (N, K) and y (N, K), (N,) for K = 1, or integer classes (N,), "
            f"not {tuple(outputs.shape)} and {tuple(y.shape)} of {y.dtype}"
        )
    return 0.5 * (outputs - target).square().sum(1).mean()


def _targets(outputs: Tensor, y: Tensor) -> Tensor:
    if y.dim() != 1:
        return y
    if y.is_floating_point():
        return y[:, None]
    # scatter refuses a class outside 0 … K−1, under vmap too (one_hot doesn't there)
    return torch.zeros_like(outputs).scatter(1, y[:, None].long(), 1.0)
