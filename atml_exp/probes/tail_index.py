"""Tail index: how heavy the tails of the noise in SGD's steps are, and how easily that is misread."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from atml_exp.fields import PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value

__all__ = ["TailIndex", "tail_index", "tail_index_of_steps"]


@dataclass(frozen=True, eq=False)
class TailIndex:
    """Readings α̂ of the tail index, 2 for Gaussian noise and smaller for heavier tails.

    pooled: all coordinates as one stream. per_coordinate: (D,) float64 on the CPU, each by itself.
    dropped: increments (T, D) at the end of each coordinate that fill no block; the pooled stream, of T·D numbers,
    leaves out its own last T·D mod block_size.
    """

    pooled: float
    per_coordinate: Tensor
    dropped: int

    @property
    def mean(self) -> float:
        """1/mean(1/α̂_d): it is 1/α̂ that is unbiased, so that many short coordinates average to the right value."""
        return 1 / self.per_coordinate.reciprocal().mean().item()


def tail_index(increments: Any, block_size: int) -> TailIndex:
    """The index α of symmetric α-stable noise, from increments X (T, D) whose rows are independent.

    1/α̂ = (mean log|Y| − mean log|X|)/log K₁, where Y are the sums of consecutive blocks of K₁ = block_size X: a
    sum of K₁ copies is K₁^(1/α) times as wide (Mohammadi, Mohammadpour & Ogata 2015, On estimating the tail
    index and the spectral measure of multivariate α-stable distributions; for SGD: Şimşekli, Sagun & Gürbüzbalaban
    2019, A tail-index analysis of stochastic gradient noise in deep neural networks).

    pooled: of the rows end to end, as one stream of T·D numbers, as in the latter paper. It holds only where all
    coordinates are alike: for *Gaussian* coordinates of standard deviations s_d, blocks of whole rows read
    1/α̂ = ½ + (½ log mean s² − mean log s)/log K₁, which is above ½, so α̂ < 2: a mixture of scales looks
    heavy-tailed. per_coordinate: (D,), blind to scale; a reading from T/K₁ blocks has a standard error in 1/α̂ of
    about 1.1 √(K₁/T)/log K₁ for Gaussian noise. Drift and correlation in time move either reading: a constant step
    reads 1, noise that reverses itself (1/α̂ ≤ 0) reads infinity or a negative number.

    Increments at the end that fill no block are left out: see `TailIndex`.
    Raises ValueError where increments aren't a finite (T, D), T is below two blocks, any is 0 (its logarithm is
    infinite), or block_size is below 2.

    >>> noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> found = tail_index(noise * torch.tensor([1.0, 100.0]), 100)
    >>> round(found.mean, 1), round(found.pooled, 1)
    (2.0, 1.1)
    """
    x = _checked(increments, block_size)
    used = len(x) - len(x) % block_size
    inverse = _inverse(x[:used].T, block_size)
    stream = x.reshape(1, -1)
    pooled = _inverse(stream[:, : stream.shape[1] - stream.shape[1] % block_size], block_size)
    return TailIndex(pooled.reciprocal().item(), inverse.reciprocal(), len(x) - used)


def tail_index_of_steps(points: Tensor, *, block_size: PositiveInt = 20) -> dict[str, Value]:
    """`tail_index` of the steps between recorded points (T, …), such as the weights of the last steps.

        1/α̂ = (mean log|Y| − mean log|X|)/log K₁

    The mean step is taken off, which would read as a drift; coordinates in which some step didn't move at all (dead
    units, pixels that are always 0) are left out. With a constant step size and without momentum, what is left is
    the mini-batches' noise, so far as the weights stay where the gradient is nearly the same.

    Returns `pooled`, `per_coordinate` (the harmonic mean over coordinates, see `TailIndex.mean`), `readings`
    (D,), `coordinates_used`. Raises ValueError for fewer than 2·block_size + 1 points, and where no coordinate
    moved at every step.
    """
    steps = as_float64(points).flatten(1).diff(dim=0)
    if len(steps) < 2 * block_size:
        raise ValueError(
            f"{len(points)} points make {max(0, len(points) - 1)} steps, and block_size = {block_size} needs at "
            f"least {2 * block_size}: record more points (probe.trajectory.start) or take a smaller block_size"
        )
    moved = (steps != 0).all(0)
    if not moved.any():
        raise ValueError("no coordinate moved at every step: there is no noise to measure")
    used = steps[:, moved]
    found = tail_index(used - used.mean(0), block_size)
    return {
        "pooled": found.pooled,
        "per_coordinate": found.mean,
        "readings": found.per_coordinate,
        "coordinates_used": int(moved.sum()),
    }


def _checked(increments: Any, block_size: int) -> Tensor:
    x = as_float64(torch.as_tensor(increments))
    if x.dim() != 2 or x.shape[1] == 0:
        raise ValueError(f"increments must be (T, D), one row for each step; got the shape {tuple(x.shape)}")
    if block_size < 2:
        raise ValueError(f"block_size must be at least 2; got {block_size}")
    if len(x) < 2 * block_size:
        raise ValueError(
            f"increments must have at least two blocks of block_size = {block_size} rows; got {len(x)}: take more "
            "steps or smaller blocks"
        )
    if not x.isfinite().all():
        raise ValueError("increments hold NaN or infinity")
    if len(still := (x == 0).any(0).nonzero()):
        raise ValueError(
            f"increments are 0 at some step in {len(still)} of {x.shape[1]} coordinates (the first is "
            f"{still[0].item()}), and the logarithm of 0 is infinite: leave these coordinates out"
        )
    return x


def _inverse(x: Tensor, block_size: int) -> Tensor:
    """1/α̂ (D,) of streams (D, K) whose length is a multiple of block_size."""
    sums = x.unflatten(1, (-1, block_size)).sum(2)
    return ((sums.abs().log().mean(1) - x.abs().log().mean(1)) / math.log(block_size)).cpu()
