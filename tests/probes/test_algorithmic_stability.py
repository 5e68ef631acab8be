"""Coupled trainings against the same by hand, where the difference is known in closed form, and what is refused."""

from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.batches import Batches
from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.datasets.wrappers.swapped_example import swapped_example
from atml_exp.errors import ConfigError
from atml_exp.losses.brier import brier
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.sgd import SGD
from atml_exp.probes.algorithmic_stability import algorithmic_stability
from atml_exp.seeds import derive, generator
from atml_exp.siblings import trained
from atml_exp.stability import convex_divergence, logistic_constants

G = torch.Generator().manual_seed(0)
N, M, D = 12, 9, 3
X, Z = (torch.randn(n, D, generator=G, dtype=torch.float64) for n in (N, M))
DATA = Dataset("points", Split(X, torch.arange(N) % 2), Split(Z, torch.arange(M) % 2), 2)


def net(bias=True):
    torch.manual_seed(0)
    return linear((D,), 1, bias=bias).double()


def replaced(pairs, seed=0, data=DATA):
    """Indices and donors, as the probe draws them."""
    draw = generator(seed, "algorithmic_stability")
    return [torch.randint(len(s), (pairs,), generator=draw).tolist() for s in (data.train, data.test)]


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_pair_is_two_trainings_by_hand():
    """SGD written out, with the gradient (σ(m) − y)x of the logistic loss, one example a step, η/(1 + t/2)."""
    steps = 40
    found = algorithmic_stability(
        net(), DATA, loss=logistic, optimiser=SGD(0.5), steps=steps, decay=0.5, pairs=1, points=3
    )
    ((index,), (donor,)) = replaced(1)
    order = Batches([DATA.train], [derive(0, "algorithmic_stability", 0)], 1, replacement=True)
    ends, distance, drawn = [], [0.0], [0]
    sets = [DATA.train, swapped_example(DATA, 0, index=index, donor=donor).train]
    w = [weights(net()) for _ in sets]
    for t in range(steps):
        (i,) = order.index(t).tolist()
        for k, split in enumerate(sets):
            x = torch.cat([split.x[i], torch.ones(1).double()])
            w[k] = w[k] - 0.5 / (1 + 0.5 * t) * ((w[k] @ x).sigmoid() - split.y[i]) * x
        distance.append(float((w[0] - w[1]).norm()))
        drawn.append(drawn[-1] + (i == index))
    torch.testing.assert_close(found["path"], torch.tensor(distance, dtype=torch.float64))
    assert found["draws"].tolist() == drawn
    assert found["at"].tolist() == [0, 20, 40]
    whole = torch.cat([torch.cat([X, Z]), torch.ones(N + M, 1).double()], 1)
    labels = torch.cat([DATA.train.y, DATA.test.y])
    for end in w:
        margins = (2 * labels - 1) * (whole @ end)
        ends.append(torch.nn.functional.softplus(-margins))
    assert found["difference"] == pytest.approx(float((ends[0] - ends[1]).abs().max()))
    assert found["gap"] == pytest.approx(float(ends[0][N:].mean() - ends[0][:N].mean()))
    for one in ("difference", "gap", "replacement_gap"):  # at the end, from nothing at the start but for the gap
        assert found[f"{one}s"][-1] == found[one]
        assert one == "gap" or found[f"{one}s"][0] == 0
    assert found["radius"] == pytest.approx(float(whole.norm(dim=1).max()))


def test_equals_nets_trained_alone():
    """A small net, batches in a new order each epoch."""
    torch.manual_seed(1)
    model = mlp((D,), 1, depth=1, width=4, activation="tanh").double()
    of = {"loss": brier, "optimiser": SGD(0.5), "steps": 20, "batch_size": 4}
    found = algorithmic_stability(model, DATA, replacement=False, pairs=3, seed=5, **of)
    ends = []
    for k, (index, donor) in enumerate(zip(*replaced(3, 5), strict=True)):
        seed = derive(5, "algorithmic_stability", k)
        other = swapped_example(DATA, 0, index=index, donor=donor)
        pair = [weights(trained(model, split, seed=seed, **of)) for split in (DATA.train, other.train)]
        ends.append((pair[0] - pair[1]).norm())
    assert found["divergence"] == pytest.approx(float(torch.stack(ends).mean()), rel=1e-9)
    assert "radius" not in found


def test_the_mean_of_numbers_in_closed_form():
    """ℓ = ½(w − z)², full batches: w is the mean, w′ − w = (z̃ − z_i)/n, the replacement gap (z̃ − z_i)²/(2n)."""
    z = [torch.randn(n, generator=G, dtype=torch.float64) for n in (6, 4)]
    data = Dataset("numbers", *(Split(torch.ones(len(t), 1).double(), t) for t in z), None)
    model = linear((1,), 1, bias=False).double()
    of = {"optimiser": GD(1.0), "steps": 3, "batch_size": None, "replacement": False}
    found = algorithmic_stability(model, data, loss=mse, pairs=7, seed=1, **of)
    moves = torch.stack([z[1][j] - z[0][i] for i, j in zip(*replaced(7, 1, data), strict=True)])
    assert found["divergence"] == pytest.approx(float(moves.abs().mean()) / 6)
    assert found["replacement_gap"] == pytest.approx(float(moves.square().mean()) / 12)
    assert found["growth_drawn"] == pytest.approx(float(moves.abs().max()))  # of the first step, η c/B = 1/6
    assert found["draws"].tolist() == [0, 1, 2, 3]
    assert found["growth_undrawn"] == found["before_draw"] == 0


@pytest.mark.parametrize(("batch_size", "replacement"), [(1, True), (3, True), (3, False)])
def test_convex_theory_holds_and_nothing_moves_before_the_first_draw(batch_size, replacement):
    radius = float(torch.cat([X, Z]).norm(dim=1).max() ** 2 + 1) ** 0.5
    lipschitz, smoothness = logistic_constants(radius)
    of = {"loss": logistic, "batch_size": batch_size, "replacement": replacement, "pairs": 30}
    found = algorithmic_stability(net(), DATA, optimiser=SGD(2 / smoothness), steps=24, **of)
    assert found["before_draw"] == 0
    assert found["growth_undrawn"] <= 1e-12
    assert 0 < found["growth_drawn"] <= 2 * lipschitz
    assert (found["mean"].numpy() <= convex_divergence(found["learning_rate"].numpy(), lipschitz, N) + 1e-12).all()
    wild = algorithmic_stability(net(), DATA, optimiser=SGD(40 / smoothness), steps=24, **of)
    assert wild["growth_undrawn"] > 0.01  # what holds below 2/β needn't above


def test_the_same_example_in_its_place_changes_nothing():
    one = Split(X[:1].expand(5, -1), torch.ones(5, dtype=torch.int64))
    found = algorithmic_stability(net(), Dataset("one", one, one, 2), loss=logistic, pairs=3)
    assert found["divergence"] == found["difference"] == found["replacement_gap"] == 0
    assert found["draws"][-1] > 0


def test_no_steps_no_difference():
    found = algorithmic_stability(net(), DATA, loss=logistic, steps=0)
    assert (found["divergence"], found["difference"], found["path"].tolist()) == (0, 0, [0])
    assert found["gap"] == found["test_loss"] - found["train_loss"]


def test_keeps_the_contract():
    check_probe(partial(algorithmic_stability, loss=logistic, steps=5, pairs=2), net(), DATA)


def test_what_is_refused():
    with pytest.raises(ValueError, match="points is 1: at least 2"):
        algorithmic_stability(net(), DATA, loss=logistic, points=1)
    regression = Dataset("numbers", Split(X, X[:, 0]), Split(Z, Z[:, 0]), None)
    with pytest.raises(ValueError, match="diverged"):
        algorithmic_stability(net(), regression, loss=mse, optimiser=SGD(1e6), steps="100ep")
    with pytest.raises(ConfigError, match="dropout"):
        algorithmic_stability(nn.Sequential(nn.Dropout(0.5), net()), DATA, loss=logistic)
