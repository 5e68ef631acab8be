"""Retraining from the weights: of a convex model it gives what its minima do; of a net it leaves no trace."""

import torch

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.losses.logistic import logistic
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.gd import GD
from atml_exp.probes.influence import influence
from atml_exp.probes.influence_check import influence_check
from atml_exp.probes.influence_retraining import influence_retraining
from atml_exp.siblings import trained

G = torch.Generator().manual_seed(0)
X = torch.randn(40, 3, generator=G, dtype=torch.float64)
Y = (X.sum(1) + torch.randn(40, generator=G, dtype=torch.float64) > 0).long()
DATA = Dataset("d", Split(X[:30], Y[:30]), Split(X[30:], Y[30:]), 2)
OPTIMISER = GD(learning_rate=1.0, weight_decay=0.1)


def test_of_a_convex_model_training_on_gives_what_the_minima_do():
    model = linear((3,), 1).double()
    model = trained(model, DATA.train, loss=logistic, seed=0, optimiser=OPTIMISER, steps=300, batch_size=None)
    found = influence_retraining(
        model, DATA, loss=logistic, optimiser=OPTIMISER, steps=300, l2=0.1, examples=30, points=3
    )
    exact = influence_check(model, DATA, loss=logistic, l2=0.1, points=3)
    torch.testing.assert_close(found["actual"], exact["actual"][:, found["left_out"]], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found["predicted"], exact["predicted"][:, found["left_out"]], rtol=1e-5, atol=1e-9)
    assert found["correlation"] > 0.98
    assert found["added"] == 0
    assert found["gradient"] < 1e-6
    assert found["drift"] < 1e-6


def test_half_of_the_examples_are_those_of_most_influence_and_none_comes_twice():
    model = linear((3,), 1).double()
    found = influence_retraining(
        model, DATA, loss=logistic, optimiser=OPTIMISER, steps=0, l2=0.1, examples=8, points=1
    )
    assert len(set(found["left_out"].tolist())) == 8
    size = found["predicted"][0].abs()
    chosen = influence_check(model, DATA, loss=logistic, l2=0.1, points=1)["points"]
    all_of_them = influence(model, logistic, DATA.train, DATA.test[chosen], l2=0.1).abs()
    torch.testing.assert_close(size[:4], all_of_them.sort(descending=True).values[:4])
    assert found["actual"].abs().max() == 0  # no step, no change


def test_an_indefinite_net_is_damped_by_what_it_needs_and_stays_untouched():
    torch.manual_seed(0)
    model = mlp((3,), 1, depth=1, width=3, activation="tanh")

    def probe(model, data):
        return influence_retraining(model, data, loss=logistic, steps=2, examples=3, points=2)

    found = check_probe(probe, model, DATA)
    assert found["curvature"] < 0
    assert found["added"] == -2 * found["curvature"]
    assert found["predicted"].shape == found["actual"].shape == (2, 3)
