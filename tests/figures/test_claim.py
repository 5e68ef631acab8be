import math

import pandas as pd
import pytest

from atml_exp.figures.claim import Claim, by_seed, kendall


@pytest.mark.parametrize(
    ("values", "relation", "threshold", "verdict", "seeds"),
    [
        ((1.0, 3.0), "<=", 2.0, "holds", 1),
        ((1.0, 3.1), "<=", 2.0, "does not hold", 1),
        ((1.0, 3.0), ">=", 2.0, "holds", 1),
        ((0.9, 3.0), ">=", 2.0, "does not hold", 1),
        ((5.0,), ">=", 5.0, "holds", 1),
        ((), ">=", 0.0, "not measured", 0),
        ((1.0, math.nan), "<=", 2.0, "not measured", 1),
        ((1.0, math.inf), ">=", 0.0, "not measured", 2),
    ],
)
def test_the_mean_over_seeds_decides(values, relation, threshold, verdict, seeds):
    claim = Claim("paper", "statement", values, relation, threshold)
    assert (claim.verdict, claim.holds, claim.seeds_holding) == (verdict, verdict == "holds", seeds)


def test_spread_is_the_sample_standard_deviation():
    assert Claim("p", "s", (1.0, 2.0, 3.0), "<=", 0).spread == 1.0
    assert Claim("p", "s", (1.0,), "<=", 0).spread is None


def test_a_claim_as_it_is_stored():
    stored = Claim("paper", "statement", (1.0, 2.0), ">=", 1, "%").as_dict()
    assert stored == {
        "paper": "paper", "statement": "statement", "measured": 1.5, "spread": 0.5**0.5, "threshold": 1.0,
        "relation": ">=", "unit": "%", "values": [1.0, 2.0], "holds": True,
    }  # fmt: skip
    unmeasured = Claim("paper", "statement", (), ">=", 1, reason="too short").as_dict()
    assert (unmeasured["measured"], unmeasured["holds"], unmeasured["reason"]) == (None, False, "too short")


def test_each_seed_gives_a_number_or_nan():
    table = pd.DataFrame({"seed": [2, 0, 0], "value": [1.0, 3.0, 5.0]})
    assert by_seed(table, lambda t: t["value"].mean()) == (4.0, 1.0)
    assert math.isnan(by_seed(table, lambda t: t["value"].iloc[1])[1])
    assert math.isnan(by_seed(table, lambda t: max([]))[0])


def test_an_error_of_the_figure_itself_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        by_seed(pd.DataFrame({"seed": [0], "value": [1.0]}), lambda t: 1 / 0)


def test_kendall_counts_pairs_in_order():
    table = pd.DataFrame({"x": [1, 2, 3, 4], "value": [1.0, 3.0, 2.0, 4.0]})
    assert kendall(table, "x") == pytest.approx((5 - 1) / 6)
