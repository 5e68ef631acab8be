"""Labels that are changed anew at each step: label-noise SGD."""

import torch
from torch import Generator, Tensor

__all__ = ["noisy_labels"]


def noisy_labels(y: Tensor, amount: float, all_labels: Tensor, draw: Generator) -> Tensor:
    """A mini-batch's labels with fresh noise, of the same shape and type.

    Numbers: y + amount·ξ, ξ ~ N(0, 1). Classes: with the probability `amount` another class, each of 0 … C−1 with
    equal chance, C − 1 the largest of `all_labels`. The squared loss of numbers keeps its minima on average; what
    changes is which of them SGD settles in (Blanc, Gupta, Valiant & Valiant 2020, Implicit
    regularization for deep neural networks driven by an Ornstein–Uhlenbeck like process; Damian, Ma & Lee 2021,
    Label noise SGD provably prefers flat global minimizers).

    Raises ValueError for a negative amount, for a probability above 1, and for classes of which there is one only.

    >>> draw = torch.Generator().manual_seed(0)
    >>> noisy_labels(torch.tensor([0, 1, 0]), 1.0, torch.tensor([0, 1]), draw)
    tensor([1, 0, 1])
    """
    if not 0 <= amount < float("inf"):
        raise ValueError(f"label_noise must be a number of at least 0; got {amount}")
    if y.is_floating_point():
        return y + amount * torch.randn(y.shape, generator=draw, dtype=y.dtype).to(y.device)
    num_classes = int(all_labels.max()) + 1
    if amount > 1 or num_classes < 2:
        raise ValueError(
            f"label_noise of classes is the probability of another class: it must be at most 1, of two classes or "
            f"more; got {amount} and {num_classes}"
        )
    shift = torch.randint(1, num_classes, y.shape, generator=draw)
    flipped = torch.rand(y.shape, generator=draw, dtype=torch.float64) < amount
    return (y + (shift * flipped).to(y.device, y.dtype)) % num_classes
