"""Shapley's axioms, values known by hand, orders enumerated, captum."""

import itertools

import pytest
import torch
from captum.attr import ShapleyValues
from torch import nn

from atml_exp.attribution.output import output_of
from atml_exp.attribution.shapley import exact_shap, exact_shapley

WORTH = dict(enumerate(torch.randn(2**5, generator=torch.Generator().manual_seed(0)).tolist()))


def game(players):
    return WORTH[sum(2**i for i in players)]


def by_orders(value, n):
    """The mean gain when one joins, over all orders of arrival."""
    orders = list(itertools.permutations(range(n)))
    gains = torch.zeros(n, dtype=torch.float64)
    for order in orders:
        for k, player in enumerate(order):
            gains[player] += value(frozenset(order[: k + 1])) - value(frozenset(order[:k]))
    return gains / len(orders)


def test_it_is_the_mean_gain_over_orders_of_arrival():
    torch.testing.assert_close(exact_shapley(game, 5), by_orders(game, 5))


def test_gloves():
    """Player 0 has a left glove, 1 and 2 have right ones; a pair is worth 1."""
    found = exact_shapley(lambda s: float(0 in s and len(s) > 1), 3)
    torch.testing.assert_close(found, torch.tensor([2 / 3, 1 / 6, 1 / 6], dtype=torch.float64))


def test_efficiency():
    expected = game(range(5)) - game([])
    assert exact_shapley(game, 5).sum().item() == pytest.approx(expected, abs=1e-12)


def test_symmetry():
    def same(players):  # 1 and 3 are one another's substitutes
        return game({0} & set(players)) * (1 + len({1, 3} & set(players))) + float(2 in players)

    found = exact_shapley(same, 5)
    assert found[1].item() == pytest.approx(found[3].item(), abs=1e-12)
    assert found[0] != found[1]


def test_dummy():
    assert exact_shapley(lambda s: game(s - {2}), 5)[2].item() == pytest.approx(0, abs=1e-12)


def test_additivity():
    def other(players):
        return float(len(players)) ** 2

    together = exact_shapley(lambda s: game(s) - 3 * other(s), 5)
    torch.testing.assert_close(together, exact_shapley(game, 5) - 3 * exact_shapley(other, 5))


def test_each_coalition_is_asked_once():
    asked = []
    exact_shapley(lambda s: asked.append(s) or 0.0, 4)
    assert len(asked) == len(set(asked)) == 16
    assert all(isinstance(s, frozenset) for s in asked)


@pytest.mark.parametrize("players", [0, 13, 64])
def test_too_many_players_or_none_are_refused(players):
    with pytest.raises(ValueError, match=f"{players} players have .* for 1 to 12"):
        exact_shapley(lambda s: 0.0, players)


def test_twelve_players_are_not_too_many():
    found = exact_shapley(lambda s: float(sum(s)), 12)
    torch.testing.assert_close(found, torch.arange(12, dtype=torch.float64))


def test_of_a_linear_model(linear, x, y):
    base = torch.linspace(-1, 1, 5, dtype=torch.float64)
    found = exact_shap(linear, x, y, baseline=base)
    torch.testing.assert_close(found, (x - base) * linear.weight[y].detach())


def test_captum_enumerates_orders_to_the_same(net, x, y):
    theirs = ShapleyValues(net).attribute(x[:2], target=y[:2], perturbations_per_eval=64)
    torch.testing.assert_close(exact_shap(net, x[:2], y[:2]), theirs.double(), atol=1e-6, rtol=0)  # float32


def test_segments_are_players(net, x, y, untouched):
    segments = torch.tensor([0, 0, 1, 2, 2])
    found = untouched(lambda m, x, t: exact_shap(m, x, t, segments=segments), net, x, y)
    torch.testing.assert_close(found.sum(1), (output_of(net, x, y) - output_of(net, 0 * x, y)).detach())
    assert torch.equal(found[:, 0], found[:, 1])


def test_too_many_features_are_refused():
    with pytest.raises(ValueError, match=r"64 players .* segments, or use kernel_shap"):
        exact_shap(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), torch.ones(1, 1, 8, 8), 0)
