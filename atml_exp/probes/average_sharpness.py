"""Average-case sharpness: how much the loss rises on the mean under Gaussian noise on the weights."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.mean_loss import LossFn, MeanLoss
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["MeanRise", "average_sharpness", "mean_rise"]


class MeanRise(NamedTuple):
    """rise: estimate of E L(w + u) − L(w). standard_error: of it; NaN for one pair of draws."""

    rise: float
    standard_error: float


def average_sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    sigma: Positive = 0.01,
    relative: bool = False,
    num_pairs: PositiveInt = 20,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """E L(w + u) − L(w) for u ~ N(0, σ²I), L the mean loss over `data`, the model in eval mode.

    The expected sharpness of Neyshabur, Bhojanapalli, McAllester & Srebro (2017, Exploring generalization in deep
    learning, §2.4), beside SAM's worst case; to second order ½σ² tr ∇²L, whatever the gradient. See `mean_rise`,
    whose options these are. Returns `rise`, its `standard_error` (left out for one pair), and `curvature`,
    2 rise/σ², an estimate of tr ∇²L (of tr T∇²L T with `relative`) up to O(σ²).
    """
    with evaluation_mode(model):
        mean = MeanLoss(model, loss, data.x, data.y, chunk_size=chunk_size)
        found = mean_rise(mean, sigma, relative=relative, num_pairs=num_pairs, seed=seed)
    values: dict[str, Value] = {"rise": found.rise, "curvature": 2 * found.rise / sigma**2}
    return values | ({"standard_error": found.standard_error} if num_pairs > 1 else {})


def mean_rise(
    loss: MeanLoss, sigma: float, *, relative: bool = False, num_pairs: int = 20, seed: int = 0
) -> MeanRise:
    """E L(w + u) − L(w) over Gaussian noise u of standard deviation σ (not variance), in float64.

    From `num_pairs` pairs u, −u, in which the gradient's part cancels; the standard error is that of the mean over
    pairs, which are independent. Of a quadratic with Hessian H the rise is ½σ² tr H and its variance for one pair
    ½σ⁴‖H‖². relative: u_j ~ N(0, σ²w_j²), in proportion to each weight. It may be negative.
    Raises ValueError where the loss isn't finite under the noise.
    """
    base = loss(loss.w)
    rises = torch.tensor(
        [pair - base for pair in _pairs(loss, sigma, relative, num_pairs, seed)], dtype=torch.float64
    )
    if not rises.isfinite().all():
        raise ValueError(f"the loss isn't finite under noise of sigma = {sigma}: choose a smaller one")
    error = rises.std().item() / math.sqrt(num_pairs) if num_pairs > 1 else math.nan
    return MeanRise(rises.mean().item(), error)


def _pairs(loss: MeanLoss, sigma: float, relative: bool, num_pairs: int, seed: int) -> Iterator[float]:
    """½(L(w + u) + L(w − u)) of each pair."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_pairs):
        z: Tensor = torch.randn(len(loss.w), generator=generator, dtype=torch.float64).to(loss.w)
        u = sigma * (z * loss.w if relative else z)
        yield (loss(loss.w + u) + loss(loss.w - u)) / 2
