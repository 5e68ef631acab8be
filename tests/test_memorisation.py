"""Of learners whose scores are known, and what must be refused."""

import numpy as np
import pytest

from atml_exp.memorisation import influence, memorisation

M, N, CHANCE = 4000, 60, 0.1
RNG = np.random.default_rng(0)
INCLUDED = RNG.random((M, N)) < 0.7


def test_a_lookup_table_has_the_score_of_one_less_chance():
    """It knows what it was given and guesses the rest."""
    scores = memorisation(INCLUDED | (RNG.random((M, N)) < CHANCE), INCLUDED)
    assert np.abs((scores.values - (1 - CHANCE)) / scores.standard_errors).max() < 4
    expected = np.sqrt(CHANCE * (1 - CHANCE) / (0.3 * M))
    np.testing.assert_allclose(scores.standard_errors, expected, rtol=0.2)


def test_a_learner_that_looks_at_no_example_has_none():
    scores = memorisation(RNG.random((M, N)) < 0.6, INCLUDED)
    z = scores.values / scores.standard_errors
    assert np.abs(z).max() < 4
    assert z.std() == pytest.approx(1, abs=0.3)


def test_the_standard_error_is_the_spread_over_populations():
    p, q, n = 0.9, 0.4, 200
    found = []
    for _ in range(300):
        held = RNG.random((n, 5)) < 0.5
        found.append(memorisation(np.where(held, RNG.random((n, 5)) < p, RNG.random((n, 5)) < q), held))
    spread = np.std([scores.values for scores in found], axis=0)
    assert np.mean([scores.standard_errors for scores in found]) == pytest.approx(spread.mean(), rel=0.1)
    assert np.mean([scores.values for scores in found]) == pytest.approx(p - q, abs=0.01)


def test_influence_of_a_learner_that_answers_by_another_example():
    """Answer j is right where example j + 1 was trained on."""
    scores = influence(np.roll(INCLUDED, -1, axis=1), INCLUDED)
    expected = np.roll(np.eye(N), 1, axis=0)
    assert np.abs(scores.values - expected).max() < 5 / np.sqrt(0.21 * M)
    assert (scores.values[expected == 1] == 1).all()
    assert (scores.standard_errors[expected == 1] == 0).all()


def test_the_diagonal_of_the_influence_is_the_memorisation():
    correct = RNG.random((M, N)) < 0.3 + 0.4 * INCLUDED
    both = memorisation(correct, INCLUDED), influence(correct, INCLUDED)
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, np.diag(other), atol=1e-12)


def test_the_order_of_models_changes_nothing():
    correct, order = RNG.random((M, N)) < 0.5, RNG.permutation(M)
    one, other = memorisation(correct, INCLUDED), memorisation(correct[order], INCLUDED[order])
    np.testing.assert_allclose(one.values, other.values, atol=1e-12)


@pytest.mark.parametrize(
    ("correct", "included", "words"),
    [
        (np.ones((4, 1)), np.ones((4, 1)), "example 0 is in 4 of 4 training sets"),
        (np.ones((4, 2)), [[1, 0], [1, 0], [0, 0], [0, 0]], "example 1 is in 0 of 4"),
        (np.ones((3, 1)), [[1], [0], [0]], "example 0 is in 1 of 3"),
        (np.ones((4, 2)), np.ones((4, 3)), r"\(4, 2\) and \(4, 3\): must be \(M, N\) both"),
        (np.ones(4), np.ones(4), "must be"),
        (np.full((4, 1), 0.5), [[1], [1], [0], [0]], "other values than 0 and 1"),
    ],
)
def test_refusals(correct, included, words):
    with pytest.raises(ValueError, match=words):
        memorisation(correct, included)
    if np.ndim(correct) == 2 and np.shape(correct) != (4, 2):
        with pytest.raises(ValueError, match=r"example|other values"):
            influence(correct, included)
