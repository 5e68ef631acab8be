"""Kernel SHAP: Shapley values as a weighted least-squares fit to the values of coalitions."""

import math

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target
from atml_exp.attribution.players import Game, weighted_fit
from atml_exp.attribution.shapley import MOST_PLAYERS, all_coalitions

__all__ = ["kernel_shap"]


def kernel_shap(
    model: nn.Module,
    x: Tensor,
    target: Target,
    *,
    baseline: Tensor | None = None,
    segments: Tensor | None = None,
    samples: int = 2048,
    seed: int = 0,
) -> Tensor:
    """Shapley values by the fit of Lundberg & Lee (2017), theorem 2, of x's shape (N, *shape); complete exactly.

    φ minimises Σ_S π(S) (v(S) − v(∅) − Σ_{i∈S} φ_i)² with π(S) = (n−1)/(C(n,s) s (n−s)), s = |S|, subject to
    Σφ = v(all) − v(∅). Where 2ⁿ − 2 ≤ samples (and n ≤ 12), of all coalitions: then it is `exact_shap`. Else of
    `samples` ones drawn with π, each with its complement (Covert & Lee 2021), the same for all examples; the error
    falls as samples^−½. v, absent players, segments and refusals: `Game`. Raises ValueError for samples < 2n.
    """
    game = Game(model, x, target, baseline, segments)
    n = game.num_players
    whole = n <= MOST_PLAYERS and 2**n - 2 <= samples
    if not whole and samples < 2 * n:
        raise ValueError(f"samples is {samples}: {n} players need at least {2 * n}")
    empty, full = game(torch.tensor([[False] * n, [True] * n]))
    if n == 1:
        return game.spread((full - empty)[None])
    coalitions, weights = _all(n) if whole else _drawn(n, samples, seed)
    return game.spread(_fit(coalitions, weights, game(coalitions) - empty, full - empty))


def _all(n: int) -> tuple[Tensor, Tensor]:
    coalitions = all_coalitions(n)[1:-1]
    kernel = [0.0] + [(n - 1) / (math.comb(n, s) * s * (n - s)) for s in range(1, n)]
    return coalitions, torch.tensor(kernel, dtype=torch.float64)[coalitions.sum(1)]


def _drawn(n: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sizes with probability ∝ 1/(s(n−s)), their members at random, and complements."""
    draw = torch.Generator().manual_seed(seed)
    size = torch.arange(1, n, dtype=torch.float64)
    sizes = 1 + torch.multinomial(1 / (size * (n - size)), (samples + 1) // 2, replacement=True, generator=draw)
    ranks = torch.rand(len(sizes), n, generator=draw, dtype=torch.float64).argsort(1).argsort(1)
    chosen = ranks < sizes[:, None]
    return torch.cat([chosen, ~chosen]), torch.ones(2 * len(chosen), dtype=torch.float64)


def _fit(coalitions: Tensor, weights: Tensor, values: Tensor, total: Tensor) -> Tensor:
    """φ (n, N): the last player's share is what the others leave of the total (N,)."""
    z = coalitions.double()
    rest = values.cpu() - z[:, -1:] * total.cpu()
    others = weighted_fit(z[:, :-1] - z[:, -1:], rest, weights)
    return torch.cat([others, total.cpu()[None] - others.sum(0, keepdim=True)])
