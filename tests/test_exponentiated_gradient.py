"""Reductions: fairlearn's own answer, scikit-learn's learner beside our net, the guarantee on rates, refusals."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.exponentiated_gradient import Net, Randomised, exponentiated_gradient
from atml_exp.optimisers.momentum import Momentum

DATA = binormal_groups(base_rates=[0.3, 0.6], separations=[1.5, 2.5], num_train=600, num_test=10)
X, Y, GROUP = (t.numpy() for t in (DATA.train.x, DATA.train.y, DATA.train.group))


def linear(outputs=2):
    net = nn.Linear(2, outputs).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    return net


def net_of(seed=0, **options):
    return Net(linear(), **{"optimiser": Momentum(1.0, momentum=0.7), "steps": 60, "seed": seed, **options})


def accuracy(q):
    return float(np.where(Y == 1, q, 1 - q).mean())


def rates(q):
    return np.array([q[g == GROUP].mean() for g in (0, 1)])


def test_is_what_fairlearn_says_of_scikit_learns_learner():
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient

    game = ExponentiatedGradient(
        LogisticRegression(), DemographicParity(difference_bound=0.03), eps=0.03, max_iter=5
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        game.fit(X, Y, sensitive_features=GROUP)
    ours = exponentiated_gradient(LogisticRegression(), X, Y, GROUP, eps=0.03, max_iterations=5)
    np.testing.assert_allclose(ours.probabilities(X), game._pmf_predict(X)[:, 1], atol=1e-12)
    assert ours.weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("constraint", ["demographic_parity", "equalised_odds"])
def test_a_linear_net_ends_where_logistic_regression_does(constraint):
    both = [
        exponentiated_gradient(learner, X, Y, GROUP, constraint=constraint, eps=0.1, max_iterations=6)
        for learner in (LogisticRegression(), net_of())
    ]
    ours, theirs = (found.probabilities(X) for found in both)
    assert accuracy(ours) == pytest.approx(accuracy(theirs), abs=0.015)
    np.testing.assert_allclose(rates(ours), rates(theirs), atol=0.03)


@pytest.mark.parametrize("eps", [0.02, 0.08])
def test_rates_keep_within_the_constraint_and_accuracy_pays(eps):
    free = net_of().fit(X, Y).predict(X)
    fair = exponentiated_gradient(net_of(), X, Y, GROUP, eps=eps)
    q = fair.probabilities(X)
    assert np.ptp(rates(free)) > 0.2
    assert np.ptp(rates(q)) <= 2 * eps + 0.01
    assert accuracy(q) < accuracy(free)
    assert ((q >= 0) & (q <= 1)).all()
    assert fair.calls >= len(fair.learners) > 1


def test_equal_seeds_give_equal_classifiers_and_the_model_stays():
    model = linear()
    before = [p.clone() for p in model.parameters()]
    found = [
        exponentiated_gradient(
            Net(model, steps=9, batch_size=32, seed=seed), X, Y, GROUP, max_iterations=3
        ).probabilities(X)
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_weights_count_as_often_as_the_example_would_stand_there():
    times = np.arange(len(Y)) % 3
    weighted = net_of().fit(X, Y, sample_weight=times * len(Y) / times.sum()).fitted
    repeated = net_of().fit(np.repeat(X, times, 0), np.repeat(Y, times)).fitted
    torch.testing.assert_close(weighted.weight, repeated.weight, rtol=1e-8, atol=1e-10)


def test_a_mixture_draws_its_learners():
    one, none = (net_of(steps=1).fit(X, np.full(len(Y), y)) for y in (1, 0))
    mixed = Randomised(np.array([0.25, 0.75]), [one, none], 2)
    assert mixed.probabilities(X[:2] * 0).tolist() == [0.25, 0.25]


def test_what_does_not_fit_is_refused():
    for change, said in (
        ({"eps": 0.0}, "eps must be positive; got 0.0"),
        ({"y": Y + 1}, r"labels must be 0 or 1; got \[1, 2\]"),
        ({"groups": GROUP * 0}, "all 600 examples are of one group"),
    ):
        arguments = {"x": X, "y": Y, "groups": GROUP, **change}
        with pytest.raises(ValueError, match=said):
            exponentiated_gradient(net_of(), **arguments)
    with pytest.raises(ValueError, match="before it is fitted"):
        net_of().predict(X)
