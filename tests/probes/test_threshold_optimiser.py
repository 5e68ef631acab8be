"""Post-processing: exact in expectation where it was fitted; fairlearn's probabilities, the ROC hulls, chance."""

import numpy as np
import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.probes.fairness import Scored, fairness
from atml_exp.probes.group_roc import roc_points
from atml_exp.probes.threshold_optimiser import (
    Rule,
    decision_probabilities,
    fit_rules,
    rates,
    threshold_optimiser,
)

RNG = np.random.default_rng(2)


class Answers(nn.Module):
    """The input is the score's logit."""

    def forward(self, x):
        return x


def population(n, groups=2):
    """Groups differ in base rate and in how well the score tells the classes apart."""
    of = np.arange(n) % groups
    y = (RNG.random(n) < 0.25 + 0.2 * of).astype(int)
    logits = RNG.normal(size=n) + (1.0 + 0.8 * of) * (2 * y - 1)
    return Split(torch.tensor(logits)[:, None], torch.tensor(y), torch.tensor(of))


def dataset(groups=2):
    return Dataset("made up", population(700, groups), population(500, groups), 2)


def scored_of(split):
    return Scored(split.x[:, 0].sigmoid().numpy(), split.y.numpy(), split.group.numpy())


DATA = dataset()


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("constraint", ["equalised_odds", "demographic_parity"])
def test_the_expected_gap_is_0_in_sample_and_accuracy_pays(constraint, groups):
    data = DATA if groups == 2 else dataset(3)
    found = threshold_optimiser(Answers(), data, constraint=constraint)
    assert found["train_gap_expected"] <= 1e-12
    assert found["train_gap_before"] > 0.05
    assert found["train_accuracy_expected"] <= found["train_accuracy_before"] + 0.02
    assert 0 < found["test_gap_expected"] < found["test_gap_before"]


def test_before_is_what_the_probe_of_fairness_says():
    found, other = threshold_optimiser(Answers(), DATA), fairness(Answers(), DATA.test, draws=2)
    assert found["test_gap_before"] == pytest.approx(other["equalised_odds"], abs=1e-12)
    columns = torch.stack([other["selection"], other["fpr"], other["tpr"]], 1)
    assert torch.allclose(found["test_rates_before"], columns)


@pytest.mark.parametrize("constraint", ["equalised_odds", "demographic_parity"])
def test_probabilities_are_fairlearns(constraint):
    from fairlearn.postprocessing import ThresholdOptimizer

    from atml_exp.probes.threshold_optimiser import _identity

    train, test = scored_of(DATA.train), scored_of(DATA.test)
    named = constraint.replace("ised", "ized")
    theirs = ThresholdOptimizer(estimator=_identity(), constraints=named, prefit=True, predict_method="predict")
    theirs.fit(train.scores[:, None], train.labels, sensitive_features=train.groups)
    expected = theirs._pmf_predict(test.scores[:, None], sensitive_features=test.groups)[:, 1]
    np.testing.assert_allclose(decision_probabilities(test, fit_rules(train, constraint)), expected, atol=1e-12)


def test_the_common_point_lies_in_every_groups_hull_and_on_one():
    from scipy.spatial import ConvexHull

    train = scored_of(DATA.train)
    point = rates(train, decision_probabilities(train, fit_rules(train)))[0, 1:]
    distances = []
    for g in (0, 1):
        curve = roc_points(train.scores[train.groups == g], train.labels[train.groups == g])[:, 1:]
        distances.append(max(ConvexHull(curve).equations @ [*point, 1]))
    assert max(distances) == pytest.approx(0, abs=1e-9)


def test_throws_are_within_their_standard_errors():
    found = [threshold_optimiser(Answers(), DATA, seed=seed) for seed in range(12)]
    z = torch.stack([(f["test_rates_sampled"] - f["test_rates_expected"]) / f["test_rates_error"] for f in found])
    assert z.abs().max() < 4.5
    assert 0.6 < z.square().mean() < 1.6
    assert len({f["test_gap_sampled"] for f in found}) > 1
    assert len({f["test_gap_expected"] for f in found}) == 1


def test_the_contract():
    found = check_probe(threshold_optimiser, Answers(), DATA)
    assert found["rules"].shape == (2, 6)
    rules = [Rule(*row) for row in found["rules"].tolist()]
    assert all(rule.p0 + rule.p1 == pytest.approx(1) for rule in rules)


def changed(**splits):
    return Dataset("made up", splits.get("train", DATA.train), splits.get("test", DATA.test), 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(test=population(500, 3)), r"\[0, 1\] in training and \[0, 1, 2\] in test"),
        (changed(train=DATA.train[(DATA.train.y == 1) | (DATA.train.group == 0)]), "group 1 of the train split"),
        (changed(test=Split(DATA.test.x, DATA.test.y)), "have none"),
    ],
)
def test_refusals(data, words):
    with pytest.raises(ValueError, match=words):
        threshold_optimiser(Answers(), data)
