"""How alike two attributions are: Spearman's correlation, signed and of absolute values, and SSIM of images."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from atml_exp.linalg import as_float64

__all__ = ["Agreement", "agreement", "ranks", "spearman", "structural_similarity"]


class Agreement(NamedTuple):
    """Spearman's correlation of two attributions, a mean over examples: `signed`, of their values, and `absolute`,
    of absolute values, which doesn't mind that evidence for became evidence against.
    """

    signed: float
    absolute: float


def agreement(one: Tensor, other: Tensor) -> Agreement:
    """Of attributions (N, …) of the same N examples; see `spearman`.

    >>> agreement(torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[-1.0, 2.0, -3.0]]))
    Agreement(signed=-1.0, absolute=1.0)
    """
    return Agreement(float(spearman(one, other).mean()), float(spearman(one.abs(), other.abs()).mean()))


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of the ranks within each example (N,): one, other (N, …), ties at their mean rank.

    In float64. Where one of the two is constant, ranks say nothing: 1 if both are, which agree, else 0.
    Raises ValueError for shapes that differ, fewer than two entries an example, and values that aren't finite.

    >>> spearman(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[10.0, 300.0, 20.0]]))
    tensor([0.5000], dtype=torch.float64)
    """
    if one.shape != other.shape or one.dim() < 2 or one[0].numel() < 2:
        raise ValueError(
            f"attributions have shapes {tuple(one.shape)} and {tuple(other.shape)}: they must be equal, (N, …), of "
            "at least 2 entries an example"
        )
    if not (bool(one.isfinite().all()) and bool(other.isfinite().all())):
        raise ValueError("an attribution holds values that aren't finite: they have no rank")
    a, b = (ranks(as_float64(t).flatten(1)) for t in (one, other))
    a, b = (t - t.mean(1, keepdim=True) for t in (a, b))
    squares = a.square().sum(1), b.square().sum(1)
    size = (squares[0] * squares[1]).sqrt()
    both_constant = (squares[0] + squares[1] == 0).to(a)
    return torch.where(size > 0, (a * b).sum(1) / size.clamp(min=1e-300), both_constant)


def ranks(values: Tensor) -> Tensor:
    """The rank of each entry in its row, 1 … D, equal ones at the mean of their ranks: (N, D) → (N, D).

    >>> ranks(torch.tensor([[5.0, 1.0, 5.0]]).double())
    tensor([[2.5000, 1.0000, 2.5000]], dtype=torch.float64)
    """
    ordered = values.sort(1).values.contiguous()
    below = torch.searchsorted(ordered, values.contiguous())
    up_to = torch.searchsorted(ordered, values.contiguous(), right=True)
    return (below + up_to + 1).to(values) / 2


def structural_similarity(one: Tensor, other: Tensor, *, window: int = 7, data_range: float = 1.0) -> Tensor:
    """Mean SSIM (N,) of images (N, C, H, W), over channels and all places where a square window fits.

    ((2μ_xμ_y + c₁)(2σ_xy + c₂)) / ((μ_x² + μ_y² + c₁)(σ_x² + σ_y² + c₂)), c = (0.01·L)², (0.03·L)², L = data_range,
    with means over the window, each pixel counting alike, and variances over n − 1: Wang, Bovik, Sheikh &
    Simoncelli (2004), Image quality assessment, eq. 13, whose own window is an 11×11 Gaussian. In float64. 1 for
    equal images; it depends on scale, so bring attributions to one range first. ValueError for shapes that aren't
    two equal (N, C, H, W), a window < 2 or larger than the image, or data_range ≤ 0.

    >>> flat = torch.ones(1, 1, 8, 8)
    >>> structural_similarity(flat, flat), structural_similarity(flat, 0 * flat).round(decimals=6)
    (tensor([1.], dtype=torch.float64), tensor([0.0001], dtype=torch.float64))
    """
    if one.shape != other.shape or one.dim() != 4:
        raise ValueError(
            f"images have shapes {tuple(one.shape)} and {tuple(other.shape)}: both must be (N, C, H, W)"
        )
    if not 2 <= window <= min(one.shape[-2:]) or not data_range > 0:
        raise ValueError(
            f"window is {window} and data_range {data_range}: allowed are 2 … {min(one.shape[-2:])}, a side of the "
            "image, and above 0"
        )
    x, y = as_float64(one), as_float64(other)
    mx, my, xx, yy, xy = (avg_pool2d(t, window, 1) for t in (x, y, x * x, y * y, x * y))
    n = window**2
    vx, vy, covariance = (n / (n - 1) * t for t in (xx - mx * mx, yy - my * my, xy - mx * my))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return similarity.mean((1, 2, 3))
