"""Fairness between groups against fairlearn, by hand, by its symmetries, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.fairness import fairness, group_rates, interval, lipschitz_constant, resampled

G = torch.Generator().manual_seed(7)
N = 900
GROUP = torch.randint(3, (N,), generator=G)
X = torch.randn(N, 2, generator=G, dtype=torch.float64) + 0.5 * GROUP[:, None]
Y = (X.sum(1) + torch.randn(N, generator=G) > 0.5).long()
DATA = Split(X, Y, GROUP)


def logistic(*weights, bias=0.0):
    """One output: the score is σ(w·x + b)."""
    model = nn.Linear(len(weights), 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
        model.bias.fill_(bias)
    return model


class Answers(nn.Module):
    """The input is the score's logit."""

    def forward(self, x):
        return x


def of_scores(scores, labels, groups):
    scores = torch.as_tensor(scores, dtype=torch.float64)
    return Split(scores.logit()[:, None], torch.as_tensor(labels), torch.as_tensor(groups))


def test_fairlearn_says_the_same():
    from fairlearn.metrics import (
        MetricFrame,
        demographic_parity_difference,
        equal_opportunity_difference,
        equalized_odds_difference,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import precision_score

    model = logistic(1.0, 0.3, bias=-0.4)
    found = fairness(model, DATA)
    y, of = Y.numpy(), GROUP.numpy()
    answers = (model(X)[:, 0] >= 0).long().numpy()
    metrics = {"selection": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    frame = MetricFrame(
        metrics={**metrics, "ppv": precision_score}, y_true=y, y_pred=answers, sensitive_features=of
    )
    for name in frame.by_group:
        np.testing.assert_allclose(found[name], frame.by_group[name], rtol=1e-12)
    theirs = {"y_true": y, "y_pred": answers, "sensitive_features": of}
    assert found["demographic_parity"] == pytest.approx(demographic_parity_difference(**theirs), abs=1e-12)
    assert found["equalised_odds"] == pytest.approx(equalized_odds_difference(**theirs), abs=1e-12)
    assert found["equal_opportunity"] == pytest.approx(equal_opportunity_difference(**theirs), abs=1e-12)
    assert found["predictive_parity"] == pytest.approx(frame.difference()["ppv"], abs=1e-12)
    rates = group_rates(Y, answers, GROUP)
    for name in ("tpr", "fpr", "ppv", "base_rate"):
        np.testing.assert_allclose(rates[name], found[name], rtol=1e-12)


def test_by_hand():
    scores, labels = [0.8, 0.6, 0.4, 0.2, 0.9, 0.7, 0.1], [1, 0, 1, 0, 1, 1, 0]
    found = fairness(Answers(), of_scores(scores, labels, [0, 0, 0, 0, 1, 1, 1]), bins=2)
    assert found["confusion"].tolist() == [[1, 1, 1, 1], [2, 0, 0, 1]]
    expected = {
        "demographic_parity": 2 / 3 - 1 / 2,
        "equal_opportunity": 0.5,
        "equalised_odds": 0.5,
        "predictive_parity": 0.5,
        "balance_positive": 0.8 - 0.6,
        "balance_negative": 0.4 - 0.1,
        "calibration": abs((0.4 + 0.1) / 3 - (0.4 + 0.4) / 4),  # bins [0, ½) and [½, 1]
        "calibration_worst": 0.2,
        "undefined": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["mean_score"].tolist() == pytest.approx([0.5, 1.7 / 3])


def test_what_is_undefined_is_left_out_and_counted():
    """Nobody of group 1 is selected, and group 2 has no positives: ppv and tpr, and what needs them."""
    data = of_scores([0.9, 0.2, 0.1, 0.3, 0.8, 0.2], [1, 0, 1, 0, 0, 0], [0, 0, 1, 1, 2, 2])
    found = fairness(Answers(), data)
    assert found["undefined"] == 3  # and the positives' mean score
    missing = {"tpr", "ppv", "equal_opportunity", "equalised_odds", "predictive_parity", "balance_positive"}
    assert missing.isdisjoint(found)
    assert {"demographic_parity", "balance_negative", "fpr", "confusion"} <= set(found)
    rates = group_rates(data.y, [1, 0, 0, 0, 1, 0], data.group)
    assert rates["ppv"].isna().tolist() == [False, True, False]
    assert rates["tpr"].isna().tolist() == rates["fnr"].isna().tolist() == [False, False, True]


def test_order_of_examples_and_numbers_of_groups_change_no_gap():
    model = logistic(1.0, 0.3)
    order = torch.randperm(N, generator=G)
    renamed = Split(X[order], Y[order], torch.tensor([5, 2, 9])[GROUP[order]])
    a, b = fairness(model, DATA, draws=2), fairness(model, renamed, draws=2)
    for name in ("demographic_parity", "equalised_odds", "predictive_parity", "calibration", "balance_negative"):
        assert a[name] == pytest.approx(b[name], abs=1e-12)
    assert lipschitz_constant(X[:, 0].sin(), X) == lipschitz_constant(X[order, 0].sin(), X[order])
    assert b["group"].tolist() == [2, 5, 9]


def test_a_calibrated_score_of_one_population_has_no_gaps_beyond_chance():
    scores = torch.rand(40_000, generator=G, dtype=torch.float64)
    labels = (torch.rand(40_000, generator=G) < scores).long()
    found = fairness(Answers(), of_scores(scores, labels, torch.arange(40_000) % 2))
    gaps = ["demographic_parity", "equalised_odds", "predictive_parity", "balance_positive", "calibration"]
    assert max(found[name] for name in gaps) < 0.02
    assert found["calibration_worst"] < 0.02
    assert found["balance_positive_low"] >= 0


def test_the_bootstrap_is_as_wide_as_the_normal_approximation():
    """A rate's standard error is √(p(1 − p)/n); of a difference, both."""
    n = 4000
    draw = torch.rand(2, n, generator=G) < torch.tensor([[0.3], [0.6]])
    found = fairness(Answers(), of_scores(0.9 * draw.flatten() + 0.05, [0, 1] * n, [0] * n + [1] * n), draws=1000)
    p = draw.double().mean(1)
    error = float((p * (1 - p) / n).sum().sqrt())
    assert found["demographic_parity"] == pytest.approx(float(p[1] - p[0]), abs=1e-12)
    for side, sign in (("low", -1), ("high", 1)):
        expected = found["demographic_parity"] + sign * 1.96 * error
        assert found[f"demographic_parity_{side}"] == pytest.approx(expected, abs=0.2 * error)


def test_bootstrap_sums_are_of_as_many_rows():
    sums = resampled(np.column_stack([np.ones(50), np.arange(50)]), 300, np.random.default_rng(0))
    assert (sums[:, 0] == 50).all()
    assert sums[:, 1].mean() / 50 == pytest.approx(24.5, abs=0.6)
    with pytest.raises(ValueError, match="none of 2 bootstrap samples"):
        interval(np.array([np.nan, np.nan]), 0.9)


def test_lipschitz_constants():
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    assert lipschitz_constant((4 * x[:, 0]).sigmoid(), x, rows=7) == pytest.approx(1, rel=0.02)  # slope w/4 at 0
    assert lipschitz_constant(3 * x[:, 0], x) == pytest.approx(3)
    assert lipschitz_constant(torch.ones(5), torch.zeros(5, 2)) == 0
    model = logistic(3.0, 4.0)
    assert 0.9 < fairness(model, DATA)["lipschitz"] <= 1.25  # ‖w‖/4
    assert fairness(model, DATA, max_examples=50)["lipschitz"] <= fairness(model, DATA)["lipschitz"]
    assert fairness(model, DATA, max_examples=50)["lipschitz_examples"] == 50


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_contract(outputs):
    found = check_probe(fairness, nn.Linear(2, outputs).double(), DATA)
    assert found["count"].sum() == N


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (logistic(1.0, 1.0), Split(X, Y), "these examples have none"),
        (logistic(1.0, 1.0), Split(X, Y, torch.full((N,), 3)), "all 900 examples are of group 3"),
        (nn.Linear(2, 3).double(), DATA, "the model has 3 outputs"),
        (logistic(1.0, 1.0), Split(X, GROUP, GROUP), "labels hold 2"),
    ],
)
def test_refusals(model, data, words):
    with pytest.raises(ValueError, match=words):
        fairness(model, data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 1], [0, 1, 1], [0, 1]), r"got \(2,\), \(3,\) and \(2,\)"),
        (([], [], []), "N ≥ 1"),
        (([0, 2], [0, 1], [0, 1]), "labels hold 2"),
        (([0, 1], [0.5, 1], [0, 1]), r"predictions hold 0\.5"),
    ],
)
def test_rates_refuse(arguments, words):
    with pytest.raises(ValueError, match=words):
        group_rates(*arguments)


def test_lipschitz_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"got \(3,\) and \(2, 1\)"):
        lipschitz_constant(torch.zeros(3), torch.zeros(2, 1))
