"""The hinge loss of a binary classifier with one output (Cortes & Vapnik, 1995)."""

import torch
from torch import Tensor

from atml_exp.data import suits
from atml_exp.losses.margin import margins

__all__ = ["hinge"]


@suits("binary", num_outputs=1)
def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ max(0, 1 − mᵢ) with the margin mᵢ = (2yᵢ − 1)oᵢ: outputs (N, 1), labels y (N,) in {0, 1}.

    At mᵢ = 1 there is a kink: the subgradient 0 is taken, and a Hessian isn't defined there (differentiating twice
    gives that of the flat side). ValueError where the shapes don't match.

    >>> hinge(torch.tensor([[2.0], [0.5]]), torch.tensor([1, 0])).item()
    0.75
    """
    return torch.relu(1 - margins(outputs, y)).mean()
