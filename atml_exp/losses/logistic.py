"""The logistic loss of a binary classifier with one output."""

import torch
from torch import Tensor

from atml_exp.data import suits
from atml_exp.losses.margin import margins

__all__ = ["logistic"]


@suits("binary", num_outputs=1)
def logistic(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ log(1 + exp(−mᵢ)) with the margin mᵢ = (2yᵢ − 1)oᵢ: outputs (N, 1), labels y (N,) in {0, 1}.

    With p = 1/(1 + exp(−o)) its gradient in oᵢ is (pᵢ − yᵢ)/N; its Hessian for a linear model is
    Xᵀ diag(p(1−p)) X/N. ValueError where the shapes don't match.

    >>> round(logistic(torch.zeros(3, 1), torch.tensor([0, 1, 1])).exp().item(), 4)
    2.0
    """
    # Not softplus(−m): torch takes that as linear beyond 20, and so its second derivative as 0.
    return -torch.nn.functional.logsigmoid(margins(outputs, y)).mean()
