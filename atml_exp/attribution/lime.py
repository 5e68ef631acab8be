"""LIME: the weights of a linear model that is fitted to the net around one input."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, output_of
from atml_exp.attribution.players import Game, weighted_fit
from atml_exp.linalg import as_float64

__all__ = ["OverSeeds", "Perturbation", "lime", "lime_over_seeds"]

Perturbation = Literal["mask", "gaussian"]


class OverSeeds(NamedTuple):
    """Of x's shape each: mean and sample variance (/(S−1)) over S seeds."""

    mean: Tensor
    variance: Tensor


def lime(
    model: nn.Module,
    x: Tensor,
    target: Target,
    *,
    perturbation: Perturbation = "mask",
    baseline: Tensor | None = None,
    segments: Tensor | None = None,
    samples: int = 1000,
    kernel_width: float | None = None,
    noise: float = 1.0,
    penalty: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """Slopes, of x's shape (N, *shape), of the linear model with intercept that fits F best near each input.

    Ribeiro, Singh & Guestrin (2016), "Why should I trust you?", eq. 1 and 2, with a ridge `penalty` in place of
    their choice of few features. Weights are exp(−D²/κ²) to that of the nearest sample, κ the kernel_width.
    `mask`: players are present with probability ½ or as in the baseline (see `Game`); D = 1 − √(share present), the
    cosine distance, κ = 0.25 unless given. Of a linear F: w ⊙ (x − x′). `gaussian`: x + noise·ε, for a table;
    D = ‖ε‖, κ = 0.75 √d unless given. Of a linear F: w. Both up to rounding for penalty 0.
    Draws are the same for all examples. Raises ValueError for no more samples than slopes, κ or noise ≤ 0, and a
    negative penalty.
    """
    if perturbation not in ("mask", "gaussian"):
        raise ValueError(f"perturbation is {perturbation!r}: it must be mask or gaussian")
    if not noise > 0 or (kernel_width is not None and not kernel_width > 0) or not penalty >= 0:
        raise ValueError(f"noise {noise} and kernel_width {kernel_width} must be positive, penalty {penalty} ≥ 0")
    if perturbation == "mask":
        return _masked(Game(model, x, target, baseline, segments), samples, kernel_width or 0.25, penalty, seed)
    width = kernel_width or 0.75 * x.shape[1:].numel() ** 0.5
    return _moved(model, x, target, samples, width, noise, penalty, seed)


def _masked(game: Game, samples: int, width: float, penalty: float, seed: int) -> Tensor:
    _enough(samples, game.num_players)
    draw = torch.Generator().manual_seed(seed)
    z = torch.rand(samples, game.num_players, generator=draw, dtype=torch.float64) < 0.5
    return game.spread(_slopes(z, game(z), 1 - z.double().mean(1).sqrt(), width, penalty))


def _moved(
    model: nn.Module,
    x: Tensor,
    target: Target,
    samples: int,
    width: float,
    noise: float,
    penalty: float,
    seed: int,
) -> Tensor:
    size = x.shape[1:].numel()
    _enough(samples, size)
    draw = torch.Generator().manual_seed(seed)
    moves = torch.randn(samples, size, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        points = (x + step for step in (noise * moves).to(x).view(-1, *x.shape[1:]))
        values = torch.stack([as_float64(output_of(model, point, target)) for point in points])
    slopes = _slopes(moves, values, moves.norm(dim=1), width, penalty)
    return (slopes.T / noise).to(x).reshape(x.shape)


def _enough(samples: int, slopes: int) -> None:
    if samples <= slopes:
        raise ValueError(f"samples is {samples}: {slopes} slopes and an intercept need at least {slopes + 1}")


def _slopes(z: Tensor, values: Tensor, distance: Tensor, width: float, penalty: float) -> Tensor:
    """(k, N). The intercept isn't penalised: it is taken out by weighted means."""
    weights = (-((distance - distance.min()) * (distance + distance.min())) / width**2).exp()
    share, z, values = weights / weights.sum(), z.double(), values.cpu()
    return weighted_fit(z - share @ z, values - share @ values, weights, penalty)


def lime_over_seeds(
    model: nn.Module, x: Tensor, target: Target, seeds: Sequence[int], **options: object
) -> OverSeeds:
    """How much LIME says again when it draws anew: mean and variance over seeds; options: those of `lime`.

    Raises ValueError for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} seed: a variance needs at least 2")
    found = torch.stack([lime(model, x, target, seed=seed, **options) for seed in seeds])  # type: ignore[arg-type]
    return OverSeeds(found.mean(0), found.var(0))
