import math

import numpy as np
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


GOOD = {"paper": "we", "statement": "it falls", "values": (1.0,), "relation": "<=", "threshold": 2.0}
NUMBERS = "allowed: a sequence of numbers, one for each seed, NaN where it couldn't be measured"


@pytest.mark.parametrize(
    ("key", "value", "kind", "message"),
    [
        ("relation", ">", ValueError, "Claim 'it falls': relation = '>': allowed: <= or >="),
        ("relation", None, ValueError, "Claim 'it falls': relation = None: allowed: <= or >="),
        ("values", 0.5, TypeError, f"Claim 'it falls': values = 0.5: {NUMBERS}: values=(0.5,) for one seed"),
        ("values", "0.5", TypeError, f"Claim 'it falls': values = '0.5': {NUMBERS}"),
        ("values", {0: 0.5}, TypeError, f"Claim 'it falls': values = {{0: 0.5}}: {NUMBERS}"),
        ("values", ("0.5",), TypeError, f"Claim 'it falls': values hold '0.5': {NUMBERS}"),
        ("values", (1.0, None), TypeError, f"Claim 'it falls': values hold None: {NUMBERS}"),
        ("values", ((1.0, 2.0),), TypeError, f"Claim 'it falls': values hold (1.0, 2.0): {NUMBERS}"),
        ("threshold", "2", TypeError, "Claim 'it falls': threshold = '2': allowed: a number"),
        ("threshold", None, TypeError, "Claim 'it falls': threshold = None: allowed: a number"),
        ("statement", 3, TypeError, "Claim: statement = 3: allowed: text"),
        ("statement", "it\nfalls", ValueError, "Claim: statement = 'it\\nfalls': allowed: one line of text"),
        ("statement", " ", ValueError, "Claim: statement = ' ': allowed: one line of text"),
        ("paper", None, TypeError, "Claim: paper = None: allowed: text"),
        ("unit", 1, TypeError, "Claim: unit = 1: allowed: text"),
    ],
)
def test_what_is_no_claim_is_refused_where_it_is_written(key, value, kind, message):
    with pytest.raises(kind) as refused:
        Claim(**GOOD | {key: value})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "values", [[1, 2], np.array([1.0, 2.0], dtype=np.float32), pd.Series([1.0, 2.0]), np.array([True, False]), ()]
)
def test_values_are_any_numbers_in_a_row(values):
    claim = Claim(**GOOD | {"values": values})
    assert claim.as_dict()["values"] == list(map(float, values))


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
