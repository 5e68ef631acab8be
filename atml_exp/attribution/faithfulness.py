"""Do the entries that an attribution ranks high matter to the model? Deletion and insertion curves."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, baseline_like, output_of
from atml_exp.linalg import as_float64

__all__ = ["Curves", "deletion_insertion", "random_order"]


@dataclass(frozen=True, eq=False)
class Curves:
    """shares (k + 1,): of entries changed, from 0 to 1. deletion, insertion (N, k + 1): the outputs F after that.

    Deletion goes from F(x) to F(x′), insertion from F(x′) to F(x).
    """

    shares: Tensor
    deletion: Tensor
    insertion: Tensor

    def deletion_area(self) -> Tensor:
        """(N,): trapezoidal, over shares in [0, 1]. The *smaller* the better the order."""
        return torch.trapezoid(self.deletion, self.shares, dim=1)

    def insertion_area(self) -> Tensor:
        """(N,). The *larger* the better the order."""
        return torch.trapezoid(self.insertion, self.shares, dim=1)


def deletion_insertion(
    model: nn.Module,
    x: Tensor,
    target: Target,
    attribution: Tensor,
    *,
    baseline: Tensor | None = None,
    steps: int | None = None,
    probability: bool = False,
) -> Curves:
    """F as entries are put to the baseline, or into it, those of the largest attribution first; float64 curves.

    Petsiuk, Das & Saenko (2018), RISE: randomized input sampling for explanation of black-box models, section 4.1.
    F is the output `target` (`probability`: its softmax, as they take it), signs of attributions count, and ties go
    by position. baseline x′: 0 unless given; they blur for insertion. steps: how many points beside the start,
    evenly spaced; None: one for each entry. Of a linear F with attribution w ⊙ (x − x′) no order has a smaller
    deletion or a larger insertion area. In high dimensions the images in between are like none that was trained on,
    so that a low area may be a fault of the model's, not of the attribution's.

    Raises ValueError for an attribution that isn't of x's shape or isn't finite, steps outside 1 … D, and where the
    baseline doesn't broadcast.
    """
    n, d = len(x), x[0].numel()
    if attribution.shape != x.shape or not bool(attribution.isfinite().all()):
        raise ValueError(
            f"attribution must be finite, of x's shape {tuple(x.shape)}; got {tuple(attribution.shape)}"
        )
    number = d if steps is None else steps
    if not 1 <= number <= d:
        raise ValueError(f"steps is {steps}: it must be from 1 to {d}, the number of entries")
    counts = torch.linspace(0, d, number + 1).round().long()
    order = attribution.flatten(1).argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(d, device=x.device).expand(n, d))
    absent = baseline_like(x, baseline).flatten(1)
    full = x.detach().flatten(1)
    curves: list[list[Tensor]] = [[], []]
    for count in counts.tolist():
        first = place < count
        for curve, (inside, outside) in zip(curves, ((absent, full), (full, absent)), strict=True):
            curve.append(_read(model, torch.where(first, inside, outside).view_as(x), target, probability))
    return Curves(counts.double().to(curves[0][0].device) / d, *(torch.stack(c, 1) for c in curves))


def random_order(x: Tensor, *, seed: int = 0) -> Tensor:
    """An attribution that knows nothing, of x's shape: uniform draws, another order for each example. A control."""
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(x.shape, generator=draw, dtype=torch.float64).to(x)


def _read(model: nn.Module, x: Tensor, target: Target, probability: bool) -> Tensor:
    with torch.no_grad():
        wrapped = nn.Sequential(model, nn.Softmax(1)) if probability else model
        return as_float64(output_of(wrapped, x, target))
