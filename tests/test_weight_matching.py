"""Permuted units compute the same; matching undoes a permutation exactly, and finds the best of all orders."""

from itertools import permutations, product

import pytest
import torch
from torch import Tensor, nn

from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.weight_matching import permuted, random_permutations, weight_matching


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = normal(7, 1, 8, 8)

NETS = {
    "mlp": lambda: mlp((1, 8, 8), 5, depth=3, width=20),
    "without bias": lambda: mlp((1, 8, 8), 5, depth=2, width=20, bias=False),
    "batch norm": lambda: mlp((1, 8, 8), 5, depth=2, width=20, normalisation="batch"),
    "layer norm": lambda: mlp((1, 8, 8), 5, depth=2, width=20, normalisation="layer"),
    "cnn": lambda: cnn((1, 8, 8), 5, depth=2, width=8, normalisation="batch"),
    "group norm": lambda: cnn((1, 8, 8), 5, depth=2, width=8, normalisation="layer"),
    "flattened": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 9), nn.Tanh(), nn.Linear(9, 3)
    ),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
}


def net(kind: str, seed: int = 0) -> nn.Module:
    """Every parameter and statistic random, so that a forgotten one shows."""
    torch.manual_seed(seed)
    model = NETS[kind]().double()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.dim() == 1:
            nn.init.uniform_(tensor.data, 0.5, 2.0) if "var" in name else nn.init.normal_(tensor.data)
    return model.eval()


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("seed", range(3))
def test_undoes_a_permutation_exactly(kind, seed):
    model = net(kind, seed)
    orders = random_permutations(model, X, seed=seed)
    other = permuted(model, orders, X)
    torch.testing.assert_close(other(X), model(X))
    found = weight_matching(model, other, X, seed=seed)
    assert all(torch.equal(o[p], torch.arange(len(o))) for o, p in zip(orders, found.permutations, strict=True))
    pairs = zip(model.state_dict().values(), found.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert found.similarity == pytest.approx(sum(p.square().sum().item() for p in model.parameters()))


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()


def test_finds_the_best_order_of_small_nets():
    """Over all 4! × 3! orders; the ascent may stop at a local maximum, but not often and never below the start."""
    x, best = normal(5, 2), 0
    for seed in range(20):
        one, other = small(2 * seed), small(2 * seed + 1)
        found = weight_matching(one, other, x, seed=seed)
        values = [reordered(one, other, *p) for p in product(permutations(range(4)), permutations(range(3)))]
        assert found.similarity == pytest.approx(similarity(one, found.model))
        assert found.before == pytest.approx(similarity(one, other))
        assert found.before <= found.similarity <= max(values) + 1e-12
        best += found.similarity > max(values) - 1e-9
    assert best >= 15


def reordered(one: nn.Module, other: nn.Module, p: tuple[int, ...], q: tuple[int, ...]) -> float:
    """The similarity with the hidden units in these orders, written out."""
    v, a, w, b, u, c = (t.detach() for t in other.parameters())
    moved = (v[list(p)], a[list(p)], w[list(q)][:, list(p)], b[list(q)], u[:, list(q)], c)
    return sum((x * y).sum().item() for x, y in zip(one.parameters(), moved, strict=True))


def similarity(one: nn.Module, other: nn.Module) -> float:
    return sum((a * b).sum().item() for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_is_a_maximum_for_every_single_layer_and_keeps_the_function():
    one, other = net("cnn", 0), net("cnn", 1)
    found = weight_matching(one, other, X)
    torch.testing.assert_close(found.model(X), other(X))
    assert found.similarity > found.before
    for layer, order in enumerate(found.permutations):
        for i in range(len(order) - 1):
            swapped = [p.clone() for p in found.permutations]
            swapped[layer][[i, i + 1]] = order[[i + 1, i]]
            assert similarity(one, permuted(other, swapped, X)) <= found.similarity + 1e-9


def test_matching_a_net_with_itself_changes_nothing():
    model = net("mlp")
    found = weight_matching(model, model, X)
    assert all(torch.equal(p, torch.arange(20)) for p in found.permutations)
    assert found.similarity == found.before


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


def test_nets_that_are_no_chain_are_refused():
    def skips():
        return mlp((1, 8, 8), 5, depth=3, width=20, skip=True).double()

    with pytest.raises(
        ValueError, match="no plain chain \\(skip connections\\?\\): permuting hidden units changes"
    ):
        random_permutations(skips(), X)
    with pytest.raises(ValueError, match="0 is a Unknown: units are matched in chains of linear and"):
        random_permutations(nn.Sequential(Unknown()), X)
    with pytest.raises(ValueError, match="Flatten has no linear or convolutional layer"):
        random_permutations(nn.Flatten(), X)
    groups = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, 2)
    ).double()
    with pytest.raises(ValueError, match="no plain chain"):
        random_permutations(groups, X)
    with pytest.raises(ValueError, match="first and second must have the same layers and shapes"):
        weight_matching(net("mlp"), net("layer norm"), X)
    with pytest.raises(ValueError, match="permutations must be of 8, 16 units, one for each hidden layer"):
        permuted(net("cnn"), [torch.arange(8)], X)
