"""SmoothGrad: the gradient, averaged over noisy copies of the input."""

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, input_gradient

__all__ = ["smoothgrad"]


def smoothgrad(
    model: nn.Module,
    x: Tensor,
    target: Target,
    *,
    noise: float = 0.15,
    samples: int = 50,
    seed: int = 0,
    signed: bool = False,
) -> Tensor:
    """|mean of ∂F/∂x over x + ε|, of x's shape; signed: the mean itself. ε is Gaussian, of std σ.

    noise: σ to the range of the example, max x − min x. Smilkov, Thorat, Kim, Viégas & Wattenberg (2017),
    SmoothGrad: removing noise by adding noise; their values are 0.1 to 0.2, and 50 samples. Each example meets the
    same draws (scaled), so that it doesn't matter which others stand beside it. noise = 0 is the saliency.
    Raises ValueError for noise < 0 or samples < 1.
    """
    if not noise >= 0 or samples < 1:
        raise ValueError(f"noise is {noise} and samples {samples}: they must be at least 0 and 1")
    draw = torch.Generator().manual_seed(seed)
    scale = noise * (x.flatten(1).amax(1) - x.flatten(1).amin(1)).view(-1, *[1] * (x.dim() - 1))
    total = torch.zeros_like(x)
    for _ in range(samples):
        epsilon = torch.randn(x.shape[1:], generator=draw, dtype=torch.float64).to(x)
        total += input_gradient(model, x + scale * epsilon, target)
    return total / samples if signed else (total / samples).abs()
