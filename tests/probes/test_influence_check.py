"""Predictions beside retraining: exact for squares, near for logistic regression, and how a fit is counted."""

import pytest
import torch

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.models.random_features import random_features
from atml_exp.probes.influence_check import fit_of, influence_check
from atml_exp.probes.leave_one_out import left_out

N, D = 50, 4
G = torch.Generator().manual_seed(1)
X = torch.randn(N + 20, D, generator=G)
TARGET = X @ torch.randn(D, generator=G) + 0.7 * torch.randn(N + 20, generator=G)


def data(y, classes=None):
    return Dataset("d", Split(X[:N], y[:N]), Split(X[N:], y[N:]), classes)


def probe(loss, **options):
    return lambda model, data: influence_check(model, data, loss=loss, l2=0.05, points=4, **options)


def test_squares_are_exact_with_the_leverage_and_near_without():
    found = check_probe(probe(mse), linear((D,), 1), data(TARGET))
    assert found["newton_deviation"] < 1e-12 * max(1, found["scale"])
    assert found["correlation"] > 0.99
    assert abs(found["slope"] - 1) < 8 * D / N
    assert found["predicted"].shape == (4, N)


def test_what_retraining_gives_is_allens_residual():
    """A training example as the test point: from ½r² to ½(r/(1 − h))²."""
    same = Dataset("d", Split(X[:N], TARGET[:N]), Split(X[:N], TARGET[:N]), None)
    found = influence_check(linear((D,), 1, bias=False), same, l2=0.05, points=4)
    exact = left_out(X[:N].double(), TARGET[:N, None].double(), 0.05)
    for t, i in enumerate(found["points"].tolist()):
        expected = (exact.left_out[i, 0] ** 2 - exact.residuals[i, 0] ** 2) / 2
        assert found["actual"][t, i].item() == pytest.approx(expected.item(), rel=1e-9)


def test_one_hot_targets_and_fixed_random_features():
    classes = data((TARGET > 0).long(), 2)
    found = influence_check(random_features((D,), 2, width=10), classes, loss=mse, l2=0.05, points=2)
    assert found["newton_deviation"] < 1e-11 * max(1, found["scale"])


def test_logistic_regression_is_near_and_nearer_by_newton():
    found = check_probe(probe(logistic), linear((D,), 1), data((TARGET > 0).long(), 2))
    assert found["correlation"] > 0.99
    assert found["newton_error"] < 0.2 * found["error"]


def test_fits_by_hand():
    a = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    assert fit_of(a, a) == pytest.approx((1, 1, 0))
    assert fit_of(a, -a) == pytest.approx((-1, -1, 2))
    assert fit_of(2 * a, a) == pytest.approx((1, 0.5, 1))
    assert fit_of(torch.zeros(2), torch.ones(2)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("model", "loss", "words"),
    [
        (linear((D,), 2), cross_entropy, "loss = cross_entropy: the minimum is solved for with mse and logistic"),
        (mlp((D,), 1, width=3), mse, "isn't linear in its weights"),
    ],
)
def test_refusals(model, loss, words):
    with pytest.raises(ValueError, match=words):
        influence_check(model, data(TARGET), loss=loss)
