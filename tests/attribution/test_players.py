import pytest
import torch

from atml_exp.attribution.output import output_of
from atml_exp.attribution.players import Game, patches, weighted_fit

NOBODY, ALL = torch.zeros(1, 5, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)


def test_who_is_absent_is_as_in_the_baseline(net, x, y):
    base = torch.linspace(0, 1, 5, dtype=torch.float64)
    game = Game(net, x, y, base)
    torch.testing.assert_close(game(torch.cat([NOBODY, ALL]))[1], output_of(net, x, y).detach())
    torch.testing.assert_close(game(NOBODY)[0], output_of(net, base.expand(6, 5), y).detach())
    mixed = x.clone()
    mixed[:, 1:] = base[1:]
    torch.testing.assert_close(game(torch.tensor([[True] + [False] * 4]))[0], output_of(net, mixed, y).detach())


def test_shares_of_segments_are_spread_so_that_sums_stay(x, linear):
    game = Game(linear, x, 0, segments=torch.tensor([1, 0, 0, 1, 0]))
    shares = torch.tensor([[3.0], [4.0]]).expand(2, 6)
    assert game.num_players == 2
    assert game.spread(shares)[0].tolist() == [2, 1, 1, 2, 1]


def test_patches_cover_an_image_and_all_its_colours():
    found = patches((3, 5, 5), 2)
    assert found.shape == (3, 5, 5)
    assert torch.equal(found[0], found[2])
    assert found.flatten().bincount().tolist() == [3 * n for n in (4, 4, 2, 4, 4, 2, 2, 2, 1)]
    assert patches((5,), 2).tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match="size is 0"):
        patches((5,), 0)


def test_a_fit_is_the_normal_equations_solution():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(20, 3, generator=g).double(), torch.randn(20, 2, generator=g).double()
    w = torch.rand(20, generator=g).double()
    gram = a.T @ (w[:, None] * a)
    for penalty in (0.0, 0.5):
        expected = torch.linalg.solve(gram + penalty * torch.eye(3), a.T @ (w[:, None] * b))
        torch.testing.assert_close(weighted_fit(a, b, w, penalty), expected)


@pytest.mark.parametrize("segments", [torch.zeros(4).long(), torch.tensor([0, 0, 2, 2, 3]), torch.zeros(5)])
def test_segments_that_are_none_are_refused(linear, x, segments):
    with pytest.raises(ValueError, match="segments must be integers"):
        Game(linear, x, 0, segments=segments)


def test_bad_targets_are_refused(linear, x):
    with pytest.raises(ValueError, match="target is 3"):
        Game(linear, x, 3)
    with pytest.raises(ValueError, match="x must be floating"):
        Game(linear, x[:0], 0)
