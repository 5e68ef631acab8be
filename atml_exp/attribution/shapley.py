"""Shapley values by enumeration of all coalitions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target
from atml_exp.attribution.players import Game

__all__ = ["MOST_PLAYERS", "all_coalitions", "exact_shap", "exact_shapley", "shapley_values"]

MOST_PLAYERS = 12
"""4096 coalitions; each further player doubles them."""


def exact_shapley(value: Callable[[frozenset[int]], float], num_players: int) -> Tensor:
    """φ (n,) float64: φ_i = Σ over S without i of |S|!(n−|S|−1)!/n! · (v(S ∪ {i}) − v(S)), by all 2ⁿ coalitions.

    value: of a set of players 0 … n−1, called once for each. Shapley (1953): the only φ with efficiency
    (Σφ = v(all) − v(∅)), symmetry (players of equal use get the same), dummy (0 for no use) and additivity in v.
    Raises ValueError unless 1 ≤ num_players ≤ 12.

    >>> exact_shapley(lambda players: float(len(players) >= 2), 3)  # two of three make a majority
    tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """
    coalitions = all_coalitions(num_players)
    sets = [frozenset(row.nonzero()[:, 0].tolist()) for row in coalitions]
    return shapley_values(torch.tensor([float(value(players)) for players in sets], dtype=torch.float64))


def exact_shap(
    model: nn.Module, x: Tensor, target: Target, *, baseline: Tensor | None = None, segments: Tensor | None = None
) -> Tensor:
    """The Shapley values of the entries of x, or of segments, in the output `target`, of x's shape (N, *shape).

    Lundberg & Lee (2017), A unified approach to interpreting model predictions, with absent players as in the
    baseline; conventions and refusals in `Game`. Complete: the entries sum to F(x) − F(x′). Raises ValueError for
    more than 12 players.
    """
    game = Game(model, x, target, baseline, segments)
    return game.spread(shapley_values(game(all_coalitions(game.num_players))))


def shapley_values(values: Tensor) -> Tensor:
    """φ (n, …) of v (2ⁿ, …) for all coalitions, in the order of `all_coalitions`."""
    n = (len(values) - 1).bit_length()
    codes = torch.arange(2**n, device=values.device)
    sizes = all_coalitions(n).sum(1).to(values.device)
    factors = [math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)]
    weight = torch.tensor(factors, dtype=values.dtype, device=values.device)
    without = [codes[(codes >> i) % 2 == 0] for i in range(n)]
    gains = [values[s + 2**i] - values[s] for i, s in enumerate(without)]
    return torch.stack([torch.tensordot(weight[sizes[s]], g, 1) for s, g in zip(without, gains, strict=True)])


def all_coalitions(num_players: int) -> Tensor:
    """(2ⁿ, n) boolean: row k has player i where bit i of k is 1. ValueError unless 1 ≤ n ≤ 12.

    >>> all_coalitions(2).int().tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if not 1 <= num_players <= MOST_PLAYERS:
        raise ValueError(
            f"{num_players} players have 2^{num_players} coalitions: exact Shapley values are for 1 to "
            f"{MOST_PLAYERS}; put entries together as segments, or use kernel_shap"
        )
    return (torch.arange(2**num_players)[:, None] >> torch.arange(num_players)) % 2 == 1
