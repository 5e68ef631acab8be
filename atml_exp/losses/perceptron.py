"""The perceptron's criterion (Rosenblatt, 1958)."""

import torch
from torch import Tensor

from atml_exp.data import suits
from atml_exp.losses.margin import margins

__all__ = ["perceptron"]


@suits("binary", num_outputs=1)
def perceptron(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ max(0, −mᵢ) with the margin mᵢ = (2yᵢ − 1)oᵢ: outputs (N, 1), labels y (N,) in {0, 1}.

    SGD on single examples with η = 1 is Rosenblatt's rule: at a mistake, mᵢ ≤ 0, w ← w + (2yᵢ − 1)xᵢ. A margin of
    exactly 0 is a mistake: at the kink the subgradient of −mᵢ is taken, or the rule would never leave w = 0. The
    minimum is 0, at w = 0 too: as an objective the loss is degenerate. ValueError where the shapes don't match.

    >>> perceptron(torch.tensor([[2.0], [0.5]]), torch.tensor([1, 0])).item()
    0.25
    """
    m = margins(outputs, y)
    return torch.where(m > 0, torch.zeros_like(m), -m).mean()
