"""Pieces along a line: of nets built by hand, against dense sampling, under rescaling, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.datasets.tent_map import tent_values
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.piece_bounds import most_pieces
from atml_exp.probes.linear_pieces import Path, affine_pieces, linear_pieces, monotone_pieces, path_along

ZERO, ONE = torch.zeros(1), torch.ones(1)
X = torch.rand(7, 1)


def tent_net(folds, slope=0.0):
    """The folded tent map on [0, 1]: 2·relu(h) − 4·relu(h − ½) from each of its layers of 2 units to the next."""
    net = mlp((1,), 1, depth=folds, width=2, activation="leaky_relu" if slope else "relu")
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        for i, layer in enumerate(linear):
            layer.bias.copy_(torch.tensor([0.0] if i == folds else [0.0, -0.5]))
            row = torch.tensor([[1.0]] if i == 0 else [[2.0, -4.0]])
            layer.weight.copy_(row.expand_as(layer.weight))
    return net


def random_net(seed=0, **options):
    torch.manual_seed(seed)
    return mlp((1,), 1, initial_scale=6**0.5, **options).double()


@pytest.mark.parametrize("folds", [1, 2, 3, 5, 10, 16])
def test_a_net_of_two_units_a_layer_is_the_folded_tent_map(folds):
    net = tent_net(folds)
    path = path_along(net, ZERO, ONE)
    assert affine_pieces(path) == monotone_pieces(path) == 2**folds <= most_pieces(2, folds)
    assert torch.equal(path.slopes[:, 0].abs(), torch.full((len(path.slopes),), 2.0**folds, dtype=torch.float64))
    np.testing.assert_allclose(path.nodes, np.arange(2**folds + 1) / 2**folds, rtol=0, atol=1e-15)
    x = torch.linspace(0, 1, 777)
    torch.testing.assert_close(net(x[:, None])[:, 0], tent_values(folds, x), rtol=0, atol=1e-6 * 2**folds)


@pytest.mark.parametrize("width", [1, 5, 40])
def test_a_shallow_net_turns_where_its_units_do_and_reaches_its_bound(width):
    """Σ ±relu(x − c_i) with alternating signs, in the order of c: slopes 1, 0, 1, 0, …"""
    net = mlp((1,), 1, depth=1, width=width).double()
    c = (torch.arange(width).double() + 1) / (width + 1)
    with torch.no_grad():
        net.hidden[0].linear.weight.fill_(1)
        net.hidden[0].linear.bias.copy_(-c)
        net.output.weight.copy_((-1.0) ** torch.arange(width))
    path = path_along(net, ZERO.double(), ONE.double())
    assert affine_pieces(path) == most_pieces(width, 1)
    assert monotone_pieces(path) == 1
    torch.testing.assert_close(path.nodes[1:-1], c, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 1, "width": 30},
        {"depth": 4, "width": 12},
        {"depth": 4, "width": 12, "skip": True},
        {"depth": 3, "width": 10, "activation": "leaky_relu"},
        {"depth": 3, "width": 10, "bias": False},
    ],
)
def test_dense_sampling_finds_the_same(options):
    net = random_net(3, **options)
    a, b = torch.full((1,), -5.0, dtype=torch.float64), torch.full((1,), 5.0, dtype=torch.float64)
    path = path_along(net, a, b)
    x = torch.linspace(-5, 5, 400_001, dtype=torch.float64)
    with torch.no_grad():
        y = net(x[:, None])[:, 0]
    places = -5 + 10 * path.nodes
    with torch.no_grad():
        line = np.interp(x.numpy(), places.numpy(), net(places[:, None])[:, 0].numpy())
    np.testing.assert_allclose(y.numpy(), line, rtol=0, atol=1e-12 * float(y.abs().max()) + 1e-12)
    slopes = y.diff() * len(y) / 10
    bends = (slopes.diff().abs() > 1e-6 * slopes.abs().max()).numpy()
    found = int((np.diff(bends.astype(int), prepend=0) == 1).sum()) + 1  # a bend between two points is seen twice
    widest = path.nodes.diff().min() > 3 / len(x)
    assert abs(found - affine_pieces(path)) <= (0 if widest else 2)
    assert affine_pieces(path) <= most_pieces(options["width"], options["depth"])
    signs = slopes.sign()[slopes.abs() > 1e-6 * slopes.abs().max()]
    assert monotone_pieces(path) == 1 + int((signs.diff() != 0).sum())


@pytest.mark.parametrize("options", [{"depth": 1, "width": 30}, {"depth": 4, "width": 12, "skip": True}])
def test_regions_are_the_runs_of_equal_patterns_of_units_that_are_on(options):
    net, on = random_net(3, **options), []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _, inputs, output: on.append(output > 0))
    places = path_along(net, -5 * ONE, 5 * ONE).nodes
    on.clear()
    with torch.no_grad():
        net(torch.linspace(-5, 5, 400_001, dtype=torch.float64)[:, None])
    changed = (torch.cat(on, 1).int().diff(dim=0) != 0).any(1)
    assert places.diff().min() > 1 / 400_000  # the grid is finer than the regions
    assert len(places) - 1 == 1 + int(changed.sum())


def test_rescaling_two_layers_changes_no_node():
    net = random_net(5, depth=3, width=9)
    before = path_along(net, -3 * ONE, 3 * ONE)
    with torch.no_grad():
        net.hidden[0].linear.weight.mul_(7)
        net.hidden[0].linear.bias.mul_(7)
        net.hidden[1].linear.weight.div_(7)
    after = path_along(net, -3 * ONE, 3 * ONE)
    torch.testing.assert_close(after.nodes, before.nodes, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.slopes, before.slopes)


def test_backwards_and_in_two_halves_it_is_the_same_path():
    net = random_net(6, depth=3, width=9)
    whole, back = path_along(net, -2 * ONE, 2 * ONE), path_along(net, 2 * ONE, -2 * ONE)
    torch.testing.assert_close(back.nodes, 1 - whole.nodes.flip(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(back.slopes, -whole.slopes.flip(0))
    halves = [path_along(net, -2 * ONE, ZERO), path_along(net, ZERO, 2 * ONE)]
    assert sum(len(h.slopes) for h in halves) - 1 == len(whole.slopes)


def test_units_that_the_output_does_not_hear_make_regions_and_no_pieces():
    net = random_net(7, depth=2, width=8)
    with torch.no_grad():
        net.output.weight.zero_()
    path = path_along(net, -3 * ONE, 3 * ONE)
    assert len(path.slopes) > 5
    assert affine_pieces(path) == monotone_pieces(path) == 1


@pytest.mark.parametrize("width", [200, 400])
@pytest.mark.parametrize("depth", [1, 3])
def test_wide_random_nets_have_one_piece_for_each_unit_and_one_more_on_the_whole_line(width, depth):
    """Kogan, Jananthan & Kepner (2025): in expectation Σn + o(Σn) + 1, of He's variance and random biases."""
    counts = [
        affine_pieces(path_along(random_net(s, depth=depth, width=width), -1e5 * ONE, 1e5 * ONE)) for s in range(4)
    ]
    assert np.mean(counts) == pytest.approx(1 + width * depth, rel=0.1)


def test_pieces_of_monotone_paths_that_are_level_in_between():
    slopes = torch.tensor([[1.0], [0.0], [2.0], [-1.0], [0.0], [-1.0], [1e-15]], dtype=torch.float64)
    path = Path(torch.linspace(0, 1, 8, dtype=torch.float64), slopes)
    assert affine_pieces(path) == 7
    assert monotone_pieces(path) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp((3, 6, 6), 4, depth=3, width=10, normalisation="batch", skip=True),
        lambda: cnn((3, 6, 6), 4, width=4, normalisation="batch"),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(108, 9), nn.ReLU(inplace=True), nn.Linear(9, 4)),
    ],
)
def test_segments_between_examples_and_a_guarded_probe(make):
    torch.manual_seed(0)
    model, x = make(), torch.randn(12, 3, 6, 6)
    model.train()
    model(x)  # moves a batch norm's statistics
    found = check_probe(linear_pieces, model, Split(x, torch.arange(12) % 4))
    assert set(found) == {"pieces", "regions"}
    assert 1 < found["pieces"] <= found["regions"]
    path = path_along(model, x[0], x[1])
    net = model.double().eval()
    with torch.no_grad():
        t = (path.nodes[:-1] + 0.3 * path.nodes.diff())[:, None, None, None]
        ends = net(x[0] + path.nodes[:, None, None, None] * (x[1].double() - x[0]))
        inside = net(x[0] + t * (x[1].double() - x[0]))
    torch.testing.assert_close(inside, 0.7 * ends[:-1] + 0.3 * ends[1:], rtol=0, atol=1e-10)


def test_the_interval_is_the_datas_own_or_given():
    net, data = tent_net(4), Split(torch.tensor([[0.0], [0.5]]), torch.zeros(2))
    assert check_probe(linear_pieces, net, data) == {"pieces": 8, "regions": 8, "monotone": 8}
    assert linear_pieces(net, data, interval=[0.0, 1.0])["pieces"] == 16
    assert linear_pieces(tent_net(4, slope=0.01), data)["monotone"] == 8


def test_a_linear_model_is_one_piece_and_a_relu_called_twice_counts_twice():
    assert affine_pieces(path_along(nn.Linear(1, 3), ZERO, ONE)) == 1
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Linear(1, 1), relu, nn.Linear(1, 1), relu)
    for p, v in zip(twice.parameters(), ([[1.0]], [-0.25], [[-1.0]], [0.5]), strict=True):
        p.data = torch.tensor(v)
    assert path_along(twice, ZERO, ONE).nodes.tolist() == [0.0, 0.25, 0.75, 1.0]


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 5)

    def forward(self, x):
        return self.linear(x).square()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: path_along(mlp((1,), 1, activation="tanh"), ZERO, ONE), "has a Tanh"),
        (lambda: path_along(mlp((1,), 1, normalisation="layer"), ZERO, ONE), "has a LayerNorm"),
        (lambda: path_along(nn.MaxPool1d(1), ZERO, ONE), "has a MaxPool1d"),
        (lambda: path_along(Hidden(), ZERO, ONE), "its code does something else"),
        (lambda: path_along(tent_net(1), ONE, ONE), "must differ"),
        (lambda: path_along(tent_net(1), ONE, torch.zeros(2)), "one shape"),
        (lambda: monotone_pieces(path_along(mlp((1,), 3), ZERO, ONE)), "has 3 outputs"),
        (lambda: linear_pieces(tent_net(1), Split(X, X), interval=[1.0, 0.0]), "two ascending"),
        (lambda: linear_pieces(tent_net(1), Split(X, X), interval=[1.0]), "two ascending"),
        (
            lambda: linear_pieces(mlp((2,), 1), Split(torch.rand(3, 2), X[:3]), interval=[0.0, 1.0]),
            "have 2 entries",
        ),
        (lambda: linear_pieces(mlp((2,), 1), Split(torch.rand(1, 2), X[:1])), "1 example"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
