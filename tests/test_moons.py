"""The moons' theory against the dataset that it is of."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from atml_exp.datasets.two_moons import two_moons
from atml_exp.moons import bayes_error, best_line_error, moon_log_odds


def sample(noise, n=10_000):
    data = two_moons(noise=noise, num_train=n, num_test=1).train
    return data.x.numpy(), data.y.numpy()


@pytest.mark.parametrize("noise", [0.15, 0.4])
def test_the_bayes_rule_errs_as_often_as_its_error_says(noise):
    x, y = sample(noise)
    found = ((moon_log_odds(x, noise) > 0) != y).mean()
    expected = bayes_error(noise)
    assert found == pytest.approx(expected, abs=4 * (expected / len(y)) ** 0.5)


@pytest.mark.parametrize("noise", [0.15, 0.4])
def test_fitted_lines_come_near_the_best_ones_error_and_not_below(noise):
    x, y = sample(noise)
    half = len(y) // 2
    line = LinearSVC(C=1.0).fit(x[:half], y[:half])
    missed, best = (line.predict(x[half:]) != y[half:]).mean(), best_line_error(noise)
    spread = 3 * (best / (len(y) / 2)) ** 0.5
    assert best - spread <= missed <= best + spread + 0.01


def test_the_odds_change_sign_where_the_moons_change_places():
    x = np.random.default_rng(0).normal(size=(50, 2))
    turned = np.array([1, 0.5]) - x
    np.testing.assert_allclose(moon_log_odds(x, 0.3), -moon_log_odds(turned, 0.3), atol=1e-9)


def test_with_much_noise_the_moons_are_two_points_and_the_best_line_is_the_bayes_rule():
    assert best_line_error(3.0) == pytest.approx(bayes_error(3.0), abs=1e-3)
    assert bayes_error(0.2) < best_line_error(0.2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bayes_error(0.0), "noise is 0.0"),
        (lambda: best_line_error(-1.0), "noise is -1.0"),
        (lambda: moon_log_odds([1.0, 2.0, 3.0], 0.1), r"must be \(…, 2\)"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
