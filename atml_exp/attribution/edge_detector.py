"""A negative control: a map that looks like an explanation and is a function of the input alone."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

__all__ = ["edge_detector"]


def edge_detector(x: Tensor) -> Tensor:
    """The length of Sobel's gradient of each channel, of images (N, C, H, W), borders repeated: of x's shape.

    For other inputs (N, …) the distance of each entry from its example's mean. Knows of no model: a check that it
    passes doesn't look at the model either (Adebayo et al. 2018, section 5).

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> edge_detector(ramp)[0, 0, 1]
    tensor([4., 8., 8., 4.])
    """
    if x.dim() != 4:
        flat = x.flatten(1)
        return (flat - flat.mean(1, keepdim=True)).abs().view_as(x)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype, device=x.device)
    kernels = torch.stack([across, across.T])[:, None]
    slopes = conv2d(pad(x.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate"), kernels)
    return slopes.square().sum(1).sqrt().view_as(x)
