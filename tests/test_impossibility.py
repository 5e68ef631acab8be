"""The identities on any confusion matrix, and what they force."""

import numpy as np
import pytest

from atml_exp.impossibility import (
    false_positive_rate,
    forced_difference,
    imperfection_bound,
    negative_balance,
    odds,
    positive_predictive_value,
)

RNG = np.random.default_rng(3)
TP, FP, FN, TN = RNG.integers(1, 1000, (4, 500))
BASE, PPV, FNR, FPR = (TP + FN) / (TP + FP + FN + TN), TP / (TP + FP), FN / (TP + FN), FP / (FP + TN)


def test_the_identity_holds_of_any_confusion_matrix():
    np.testing.assert_allclose(false_positive_rate(BASE, PPV, FNR), FPR, rtol=1e-12)
    np.testing.assert_allclose(positive_predictive_value(BASE, FPR, FNR), PPV, rtol=1e-12)


def test_it_tells_what_no_prediction_reaches():
    """All are predicted positive, whose PPV is the base rate: FPR is 1; at a lower PPV it would be above."""
    assert false_positive_rate(0.3, 0.3, 0.0) == pytest.approx(1)
    assert false_positive_rate(0.3, 0.2, 0.0) > 1


def test_ppv_is_undefined_where_nobody_is_predicted_positive():
    assert np.isnan(positive_predictive_value(0.3, 0.0, 1.0))
    assert positive_predictive_value(0.3, [0.0, 1.0], [0.0, 0.0]) == pytest.approx([1, 0.3])


def test_unequal_base_rates_force_unequal_fpr_at_equal_ppv_and_fnr():
    """Confusion matrices by hand: 1000 each, 200 and 500 positives, FNR 20 %, PPV 80 %."""
    first, second = 40 / 800, 100 / 500  # of 200 and 500 predicted positives 40 and 100 are wrong
    assert forced_difference((0.2, 0.5), 0.8, 0.2) == pytest.approx(second - first)
    assert forced_difference((0.5, 0.2), 0.8, 0.2) == pytest.approx(first - second)
    assert forced_difference((0.4, 0.4), 0.8, 0.2) == 0
    assert forced_difference((0.2, 0.5), 1.0, 0.2) == 0
    assert forced_difference((0.2, 0.5), 0.8, 1.0) == 0
    assert (np.diff(forced_difference((0.2, 0.5), np.linspace(0.5, 1, 9), 0.2)) < 0).all()


def calibrated(base, spread, number=200_000):
    """A score with these labels drawn from itself, in expectation: (E[s | Y = 1], E[s | Y = 0], E[s])."""
    s = RNG.beta(base * spread, (1 - base) * spread, number)
    return (s * s).sum() / s.sum(), (s * (1 - s)).sum() / (1 - s).sum(), s.mean()


@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0])
def test_class_means_of_a_calibrated_score_lie_on_the_line(spread):
    positive, negative, base = calibrated(0.3, spread)
    assert negative_balance(base, positive) == pytest.approx(negative, rel=1e-10)


@pytest.mark.parametrize("spreads", [(0.1, 0.1), (1.0, 5.0), (0.01, 0.02)])
def test_nearly_balanced_is_nearly_perfect(spreads):
    (x_a, y_a, a), (x_b, y_b, b) = calibrated(0.2, spreads[0]), calibrated(0.5, spreads[1])
    bounds = imperfection_bound((a, b), abs(x_a - x_b), abs(y_a - y_b))
    assert 1 - x_a <= bounds[0] + 1e-12
    assert 1 - x_b <= bounds[1] + 1e-12


def test_the_bound_is_reached_where_positives_are_balanced():
    x = 0.7
    gap = abs(float(negative_balance(0.2, x) - negative_balance(0.5, x)))
    assert imperfection_bound((0.2, 0.5), 0.0, gap) == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: odds(0.0), "both excluded; got 0.0"),
        (lambda: odds([0.5, 1.0]), "both excluded"),
        (lambda: false_positive_rate(0.5, 0.0, 0.1), r"PPV must lie in \(0, 1\]"),
        (lambda: false_positive_rate(0.5, 0.5, 1.1), r"FNR must lie in \[0, 1\]; got 1.1"),
        (lambda: positive_predictive_value(0.5, -0.5, 0.1), "FPR must lie"),
        (lambda: negative_balance(0.5, 2.0), "must lie in"),
        (lambda: forced_difference((0.5,), 0.5, 0.1), "two base rates; got 1"),
        (lambda: imperfection_bound((0.5, 0.1, 0.2), 0.5, 0.1), "two base rates; got 3"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
