"""The best temperature against scipy's minimum, and of labels drawn with the logits' own probabilities."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.temperature import COLDEST, HOTTEST, as_logits, best_temperature, cross_fitted

G = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(4000, 5, generator=G, dtype=torch.float64)
Y = torch.multinomial(LOGITS.softmax(1), 1, generator=G)[:, 0]


def test_scipy_finds_the_same_minimum():
    loss = lambda s: cross_entropy(LOGITS / math.exp(s), Y).item()  # noqa: E731
    theirs = math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10}).x)
    assert best_temperature(LOGITS, Y) == pytest.approx(theirs, rel=1e-6)


def test_of_labels_drawn_with_the_logits_own_probabilities_it_is_1_and_follows_their_scale():
    assert best_temperature(LOGITS, Y) == pytest.approx(1, abs=0.05)
    assert best_temperature(7 * LOGITS, Y) == pytest.approx(7 * best_temperature(LOGITS, Y), rel=1e-8)
    assert best_temperature(LOGITS + torch.randn(4000, 1, generator=G), Y) == pytest.approx(
        best_temperature(LOGITS, Y), rel=1e-8
    )


def test_where_there_is_no_minimum_it_is_a_border():
    assert best_temperature(LOGITS, LOGITS.argmax(1)) == pytest.approx(COLDEST, rel=1e-6)
    assert best_temperature(LOGITS, LOGITS.argmin(1)) == pytest.approx(HOTTEST, rel=1e-6)
    assert best_temperature(torch.zeros(3, 2), torch.tensor([0, 1, 1])) == pytest.approx(HOTTEST, rel=1e-6)


def test_each_half_is_divided_by_the_temperature_of_the_other():
    scaled, temperature = cross_fitted(3 * LOGITS, Y, seed=5)
    ratios = (3 * LOGITS / scaled)[:, 0]
    found = sorted(set(ratios.round(decimals=9).tolist()))
    assert len(found) == 2
    halves = [ratios.round(decimals=9) == t for t in found]
    assert [int(h.sum()) for h in halves] == [2000, 2000]
    assert found == pytest.approx([best_temperature(3 * LOGITS[h], Y[h]) for h in halves[::-1]])
    assert temperature == pytest.approx(math.sqrt(found[0] * found[1]))
    assert torch.equal(scaled.argmax(1), LOGITS.argmax(1))
    assert cross_fitted(3 * LOGITS, Y, seed=6)[1] != temperature


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), r"got \(3,\)"),
        (torch.zeros(3, 2), torch.zeros(2).long(), r"got \(3, 2\) and \(2,\)"),
        (torch.zeros(3, 2), torch.zeros(3), "of torch.float32"),
        (torch.full((3, 2), math.inf), torch.zeros(3).long(), "aren't finite"),
    ],
)
def test_refusals(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        best_temperature(logits, labels)


def test_one_output_is_two_of_which_one_is_0():
    assert as_logits(torch.tensor([[1.0], [-2.0]])).tolist() == [[0, 1], [0, -2]]
    assert as_logits(LOGITS) is LOGITS
    with pytest.raises(ValueError, match=r"outputs must be \(N, C\); got \(3,\)"):
        as_logits(torch.zeros(3))


def test_one_example_cannot_be_halved():
    with pytest.raises(ValueError, match="1 examples can't be halved"):
        cross_fitted(LOGITS[:1], Y[:1])
