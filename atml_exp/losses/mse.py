"""Half the mean squared error."""

import torch
from torch import Tensor

__all__ = ["mse"]


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ ½‖oᵢ − yᵢ‖²: a sum over the outputs, a mean over examples.

    outputs (N, K); y (N, K), or (N,) for K = 1, or classes (N,), which stand for their one-hot vectors.
    Its Hessian for linear regression is XᵀX/N. Raises ValueError where the shapes don't match.

    >>> mse(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0])).item()
    2.5
    """
    target = _targets(outputs, y)
    if target.shape != outputs.shape:
        raise ValueError(f"outputs of shape {tuple(outputs.shape)} don't match targets of shape {tuple(y.shape)}")
    return 0.5 * (outputs - target).square().flatten(1).sum(1).mean()


def _targets(outputs: Tensor, y: Tensor) -> Tensor:
    if not y.is_floating_point():
        return (y[:, None] == torch.arange(outputs.shape[1], device=y.device)).to(outputs.dtype)
    return y[:, None] if y.dim() == 1 else y
