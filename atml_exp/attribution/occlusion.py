"""Occlusion: how much an output falls where a window of the input is covered."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, baseline_like, output_of

__all__ = ["occlusion", "windows"]


def occlusion(
    model: nn.Module, x: Tensor, target: Target, *, window: int = 1, stride: int = 1, baseline: Tensor | None = None
) -> Tensor:
    """F(x) − F(x with a window as in the baseline), of x's shape: of each entry the mean over its windows.

    Zeiler & Fergus (2014), Visualizing and understanding convolutional networks, section 4.2. window: the side of a
    square of an image's pixels (all channels at once), or how many features of a table; see `windows`. Of a linear
    F with window 1: w ⊙ (x − x′). Raises ValueError unless 1 ≤ stride ≤ window.
    """
    covered = windows(tuple(x.shape[1:]), window, stride).to(x.device)
    absent = baseline_like(x, baseline)
    with torch.no_grad():
        whole = output_of(model, x, target)
        falls = torch.stack([whole - output_of(model, torch.where(c, absent, x), target) for c in covered])
    total = torch.tensordot(falls.T, covered.to(x), 1)
    return total / covered.sum(0)


def windows(shape: tuple[int, ...], window: int, stride: int) -> Tensor:
    """(P, *shape) boolean: windows every `stride` places until the far border, which may cut the last one off.

    Along the last two axes of an image (C, H, W), the last of anything else.

    >>> windows((5,), 2, 2).int().tolist()
    [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
    """
    if not 1 <= stride <= window:
        raise ValueError(f"window is {window} and stride {stride}: they must be 1 ≤ stride ≤ window")
    sides = shape[-2:] if len(shape) >= 3 else shape[-1:]
    starts = [[stride * k for k in range(1 + max(0, math.ceil((side - window) / stride)))] for side in sides]
    found = []
    for place in itertools.product(*starts):
        mask = torch.zeros(shape, dtype=torch.bool)
        index: Any = (..., *(slice(at, at + window) for at in place))
        mask[index] = True
        found.append(mask)
    return torch.stack(found)
