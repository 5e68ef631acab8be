"""Inputs as games: entries, or groups of them, are players who are present or replaced by a baseline."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, baseline_like, output_of
from atml_exp.linalg import as_float64

__all__ = ["Game", "patches", "weighted_fit"]

_TOGETHER = 4096  # inputs in one forward pass


@dataclass(frozen=True)
class Game:
    """v(S) = F(x with the players of S, the rest as in the baseline x′), for each example of x (N, *shape).

    A player who is absent takes the baseline's entries, one convention of several (Sundararajan & Najmi 2020, The
    many Shapley values, call it baseline Shapley): no distribution of the data enters. segments: of the shape of
    one example, integers 0 … n−1 that say whose each entry is; None: each entry is a player. baseline: as in
    `baseline_like`. Raises ValueError for segments of another shape or with gaps in their numbers.
    """

    model: nn.Module
    x: Tensor
    target: Target
    baseline: Tensor | None = None
    segments: Tensor | None = None

    def __post_init__(self) -> None:
        owners = self.owners
        if owners.shape != self.x.shape[1:] or owners.is_floating_point() or not _no_gaps(owners):
            shape = tuple(self.x.shape[1:])
            raise ValueError(f"segments must be integers 0 … n−1, each at least once, of the shape {shape}")
        self(torch.ones(1, self.num_players, dtype=torch.bool))

    @property
    def owners(self) -> Tensor:
        """Whose each entry is, of the shape of one example."""
        if self.segments is not None:
            return self.segments.to(self.x.device)
        return torch.arange(self.x.shape[1:].numel(), device=self.x.device).view(self.x.shape[1:])

    @property
    def num_players(self) -> int:
        return int(self.owners.max()) + 1

    def __call__(self, coalitions: Tensor) -> Tensor:
        """v (S, N) float64 for coalitions (S, n), boolean: who is present."""
        absent = baseline_like(self.x, self.baseline)
        present = coalitions.to(self.x.device)[:, self.owners]
        found = [self._outputs(torch.where(p[:, None], self.x, absent)) for p in present.split(self._batch)]
        return torch.cat(found)

    @property
    def _batch(self) -> int:
        return max(1, _TOGETHER // max(1, len(self.x)))

    def _outputs(self, points: Tensor) -> Tensor:
        of_each = isinstance(self.target, Tensor) and self.target.dim()
        target = self.target.repeat(len(points)) if of_each else self.target  # type: ignore[union-attr]
        with torch.no_grad():
            return as_float64(output_of(self.model, points.flatten(0, 1), target)).view(points.shape[:2])

    def spread(self, shares: Tensor) -> Tensor:
        """Shares of players (n, N) as an attribution of x's shape: entries of a player have equal parts of it.

        So the sum over entries is that over players.
        """
        sizes = self.owners.flatten().bincount()
        parts = shares.to(self.x) / sizes[:, None]
        return parts[self.owners.flatten()].T.reshape(self.x.shape)


def _no_gaps(owners: Tensor) -> bool:
    return torch.equal(owners.unique(), torch.arange(int(owners.max()) + 1, device=owners.device))


def patches(shape: tuple[int, ...], size: int) -> Tensor:
    """Segments that are squares of size × size pixels of an image (C, H, W), all channels together, row by row.

    Of a table (D,): runs of `size` features. At the far border they may be smaller. ValueError for size < 1.

    >>> patches((1, 4, 4), 2)[0].tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """
    if size < 1:
        raise ValueError(f"size is {size}: it must be at least 1")
    if len(shape) < 3:
        return (torch.arange(shape[-1]) // size).expand(shape)
    rows, columns = (torch.arange(side) // size for side in shape[-2:])
    return (rows[:, None] * (columns[-1] + 1) + columns).expand(shape)


def weighted_fit(design: Tensor, values: Tensor, weights: Tensor, penalty: float = 0.0) -> Tensor:
    """β (k, N) that minimises Σ_s w_s ‖values_s − design_s β‖² + penalty ‖β‖²; in float64, on the CPU.

    design (S, k), values (S, N), weights (S,) ≥ 0. The shortest β where several are best.
    """
    root = weights.double().cpu().sqrt()[:, None]
    left, right = root * design.double().cpu(), root * values.double().cpu()
    if penalty:
        left = torch.cat([left, penalty**0.5 * torch.eye(left.shape[1], dtype=left.dtype)])
        right = torch.cat([right, right.new_zeros(left.shape[1], right.shape[1])])
    return torch.linalg.lstsq(left, right, driver="gelsd").solution
