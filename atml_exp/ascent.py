"""The highest loss near the weights, by ascent within a convex set around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atml_exp.mean_loss import MeanLoss

__all__ = ["Ascent", "ascend", "random_starts"]

HALVINGS = 12
"""Of a step, until the loss rises along it."""


@dataclass(frozen=True, eq=False)
class Ascent:
    """rise: L(w + ε) − L(w) at the best point found, never below 0. offset: ε (P,). base: L(w).

    first: the rise at the first point that the gradient at w leads to, all that a first-order method sees; 0 where
    that gradient is 0.
    """

    rise: float
    offset: Tensor
    base: float
    first: float


def ascend(
    loss: MeanLoss,
    farthest: Callable[[Tensor], Tensor],
    starts: Sequence[Tensor] = (),
    *,
    num_iterations: int = 50,
    tolerance: float = 1e-6,
) -> Ascent:
    """max L(w + ε) − L(w) over ε in a convex set around 0, w = loss.w: a lower bound, as ascent may end lower.

    farthest: g ↦ the ε of the set with the largest ⟨g, ε⟩. Each step goes from ε towards farthest(∇L(w + ε)), all
    the way if the loss rises by that, else half as far, and so on (Frank & Wolfe 1956): no point leaves the set and
    none is lower than the one before. Where the loss is convex, full steps always rise; on a linear loss the first
    is exact, on a quadratic in a ball they are power iteration. It ends when a step adds less than `tolerance` of
    the rise. From ε = 0 and from each of `starts`, without which nothing would move at a stationary point.

    Raises ValueError where the loss isn't finite within the set.
    """
    base, gradient = loss.with_gradient(loss.w)
    zero = torch.zeros_like(loss.w)
    first = _finite(loss(loss.w + farthest(gradient))) - base
    best = (0.0, zero)
    for start in (zero, *starts):
        found = _climb(loss, farthest, start, base, num_iterations, tolerance)
        best = max(best, found, key=lambda pair: pair[0])
    return Ascent(best[0], best[1], base, first)


def _climb(
    loss: MeanLoss,
    farthest: Callable[[Tensor], Tensor],
    offset: Tensor,
    base: float,
    num_iterations: int,
    tolerance: float,
) -> tuple[float, Tensor]:
    """The rise and where it was found."""
    value, gradient = loss.with_gradient(loss.w + offset)
    for _ in range(num_iterations):
        step = farthest(gradient) - offset
        taken = _rising(loss, offset, step, _finite(value)) if gradient @ step > 0 else None
        if taken is None:
            break
        before, offset = value, taken
        value, gradient = loss.with_gradient(loss.w + offset)
        if value - before <= tolerance * abs(value - base):
            break
    return value - base, offset


def _rising(loss: MeanLoss, offset: Tensor, step: Tensor, value: float) -> Tensor | None:
    """The end of the longest of the steps 1, ½, ¼, … by which the loss rises; None where none does."""
    for halving in range(HALVINGS):
        end = offset + 0.5**halving * step
        if _finite(loss(loss.w + end)) > value:
            return end
    return None


def _finite(value: float) -> float:
    if not abs(value) < float("inf"):
        raise ValueError(f"the loss is {value} within the set that is searched: choose a smaller one")
    return value


def random_starts(farthest: Callable[[Tensor], Tensor], like: Tensor, number: int, seed: int) -> list[Tensor]:
    """Points of the set that are farthest in Gaussian directions."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(number, len(like), generator=generator, dtype=torch.float64)
    return [farthest(row.to(like)) for row in draws]
