"""The Brier score of a binary classifier with one output: the squared error of its probability."""

from torch import Tensor

from atml_exp.data import suits
from atml_exp.losses.margin import margins

__all__ = ["brier"]


@suits("binary", num_outputs=1)
def brier(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ (σ(oᵢ) − yᵢ)², σ the logistic function: outputs (N, 1), labels y (N,) in {0, 1}. Without a factor ½.

    Brier (1950), Verification of forecasts expressed in terms of probability. Each example's loss is in [0, 1] and,
    of a linear model, not convex; its derivatives in oᵢ are bounded, see `atml_exp.stability.brier_constants`.
    ValueError where the shapes don't match.

    >>> import torch
    >>> brier(torch.zeros(2, 1), torch.tensor([0, 1])).item()
    0.25
    """
    return (-margins(outputs, y)).sigmoid().square().mean()  # of the wrong answer: small ones keep their digits
