"""Cross-entropy of the softmax."""

import torch
from torch import Tensor

from atml_exp.data import suits

__all__ = ["cross_entropy"]


@suits("classification")
def cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ −log softmax(oᵢ)[yᵢ]: outputs (N, C), classes y (N,); a mean over examples, in nats.

    >>> round(cross_entropy(torch.zeros(5, 10), torch.arange(5)).exp().item(), 4)
    10.0
    """
    return torch.nn.functional.cross_entropy(outputs, y)
