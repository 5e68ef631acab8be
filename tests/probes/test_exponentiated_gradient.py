"""The probe says what the classifier behind it does, and leaves the model alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.exponentiated_gradient import Net
from atml_exp.exponentiated_gradient import exponentiated_gradient as reduced
from atml_exp.optimisers.momentum import Momentum
from atml_exp.probes.exponentiated_gradient import exponentiated_gradient
from atml_exp.probes.fairness import fairness
from atml_exp.siblings import trained

DATA = binormal_groups(base_rates=[0.3, 0.6], separations=[1.5, 2.5], num_train=400, num_test=300)
OPTIONS = {"optimiser": Momentum(1.0, momentum=0.7), "steps": 40, "max_iterations": 4}


@pytest.fixture(scope="module")
def model():
    net = nn.Linear(2, 2).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    return trained(
        net, DATA.train, loss=nn.functional.cross_entropy, seed=0, optimiser=OPTIONS["optimiser"], batch_size=None
    )


def test_keeps_the_contract_and_says_what_the_classifier_does(model):
    found = check_probe(lambda m, d: exponentiated_gradient(m, d, eps=0.05, **OPTIONS), model, DATA)
    x, y, group = (t.numpy() for t in (DATA.train.x, DATA.train.y, DATA.train.group))
    net = Net(model, optimiser=OPTIONS["optimiser"], steps=40)
    fair = reduced(net, x, y, group, eps=0.05, max_iterations=4)
    q, labels, groups = fair.probabilities(DATA.test.x.numpy()), DATA.test.y.numpy(), DATA.test.group.numpy()
    rates = [q[groups == g].mean() for g in (0, 1)]
    assert found["test_accuracy_expected"] == pytest.approx(np.where(labels == 1, q, 1 - q).mean(), abs=1e-12)
    assert found["test_demographic_parity_expected"] == pytest.approx(abs(rates[0] - rates[1]), abs=1e-12)
    odds = [abs(np.subtract(*(q[(groups == g) & (labels == y)].mean() for g in (0, 1)))) for y in (0, 1)]
    assert found["test_equalised_odds_expected"] == pytest.approx(max(odds), abs=1e-12)


def test_before_is_what_the_probe_of_fairness_says(model):
    found = exponentiated_gradient(model, DATA, eps=0.05, **OPTIONS)
    plain = fairness(model, DATA.test, draws=2)
    for name in ("demographic_parity", "equalised_odds"):
        assert found[f"test_{name}_before"] == pytest.approx(plain[name], abs=1e-12)


def test_the_gap_falls_to_what_is_allowed_where_it_was_fitted(model):
    found = exponentiated_gradient(model, DATA, eps=0.02, **{**OPTIONS, "max_iterations": 8})
    assert found["train_demographic_parity_before"] > 0.2
    assert found["train_demographic_parity_expected"] <= 2 * 0.02 + 0.01
    assert found["train_accuracy_expected"] < found["train_accuracy_before"]


def test_groups_are_needed(model):
    without = replace(DATA, train=replace(DATA.train, group=None))
    with pytest.raises(ValueError, match="these examples have none"):
        exponentiated_gradient(model, without)
    one = replace(DATA, train=replace(DATA.train, group=torch.zeros(400, dtype=torch.int64)))
    with pytest.raises(ValueError, match="of one group"):
        exponentiated_gradient(model, one)
