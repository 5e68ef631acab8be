"""ROC curves by group against scikit-learn, the normal distribution's closed form, and by their symmetries."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.group_roc import area_under_curve, group_roc, roc_points

RNG = np.random.default_rng(5)
LABELS = RNG.integers(2, size=400)
SCORES = np.round(RNG.normal(size=400) + LABELS, 1)  # with ties


class Answers(nn.Module):
    """The input is the score's logit."""

    def forward(self, x):
        return x


def split_of(logits, labels, groups):
    return Split(torch.as_tensor(logits)[:, None], torch.as_tensor(labels), torch.as_tensor(groups))


def test_scikit_learn_says_the_same():
    fpr, tpr, thresholds = roc_curve(LABELS, SCORES, drop_intermediate=False)
    found = roc_points(SCORES, LABELS)
    np.testing.assert_allclose(found[:, 1:], np.column_stack([fpr, tpr]), rtol=1e-12)
    np.testing.assert_array_equal(found[1:, 0], thresholds[1:])
    area = area_under_curve(SCORES, LABELS)
    assert area == pytest.approx(roc_auc_score(LABELS, SCORES), abs=1e-12)
    assert area == pytest.approx(np.trapezoid(found[:, 2], found[:, 1]), abs=1e-12)


def test_monotone_scores_keep_the_area_and_others_turn_it():
    area = area_under_curve(SCORES, LABELS)
    assert area_under_curve(np.exp(SCORES), LABELS) == area
    assert area_under_curve(-SCORES, LABELS) == pytest.approx(1 - area)
    assert area_under_curve(SCORES, 1 - LABELS) == pytest.approx(1 - area)
    assert area_under_curve(np.ones(4), np.array([0, 1, 0, 1])) == 0.5


def test_two_normals_give_the_binormal_area_within_the_interval():
    """s ~ N(±d/2, 1) by class: AUC = Φ(d/√2), standard error by Hanley & McNeil (1982)."""
    n, distance = 3000, np.array([1.0, 2.0])
    labels, groups = np.arange(2 * n) % 2, np.arange(2 * n) // n
    logits = RNG.normal(size=2 * n) + labels * distance[groups]
    found = check_probe(group_roc, Answers(), split_of(logits, labels, groups))
    area = norm.cdf(distance / np.sqrt(2))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + (n / 2 - 1) * (q1 + q2 - 2 * area**2)) / (n / 2) ** 2)
    assert (abs(found["auc"].numpy() - area) < 4 * error).all()
    width = (found["auc_high"] - found["auc_low"]).numpy()
    np.testing.assert_allclose(width, 2 * 1.96 * error, rtol=0.3)
    assert found["auc_gap"] == pytest.approx(float(found["auc"][1] - found["auc"][0]))


def test_the_point_of_the_threshold_lies_on_the_curve_of_its_group():
    groups = np.where(np.arange(400) < 150, 4, 1)
    found = group_roc(Answers(), split_of(SCORES, LABELS, groups), threshold=0.6, draws=5)
    points = found["points"].numpy()
    assert found["group"].tolist() == [1, 4]
    for number, point in zip([1, 4], found["at_threshold"].numpy(), strict=True):
        curve = points[points[:, 0] == number]
        assert np.abs(curve[:, 2:] - point).sum(1).min() < 1e-12
        assert curve[0, 2:].tolist() == [0, 0]
        assert curve[-1, 2:].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("labels", "groups", "words"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], r"labels 0 and 1, both; got \[0\]"),
        ([0, 1, 1, 0], [2, 2, 2, 2], "all 4 examples are of group 2"),
    ],
)
def test_refusals(labels, groups, words):
    with pytest.raises(ValueError, match=words):
        group_roc(Answers(), split_of(np.arange(4.0), labels, groups))
