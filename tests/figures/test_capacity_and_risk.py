import numpy as np
import pytest

from atml_exp.capacity import bayes_error, grid, nearest_neighbours_error, polynomial_risks, values
from atml_exp.checks import check_figure
from atml_exp.figures import capacity_and_risk as figure

DEGREES = (0, 3, 7, 11, 15)
NOISE, TRAIN, TEST = 0.3, 30, 200
NEIGHBOURS = {1: nearest_neighbours_error(1, 2.0), 9: nearest_neighbours_error(9, 2.0), 81: 0.3, 999: 0.4}
"""81 of 1000 are too many for the limit to say anything."""
FEATURES = {5: 0.3, 20: 0.1, 200: 0.4, 2000: 0.2}
NETS = {1: 0.3, 16: 0.1, 256: 0.15}


def exact(degree):
    x, z = grid(TRAIN), grid(TEST)
    return polynomial_risks(degree, x, z, values("sine", x), values("sine", z), NOISE)


def table_of(runs, together, training=(), test=(), train_one=0.0, neighbours=None, features=None, nets=None):
    """Polynomials: the expectations, times the factors given by degree."""
    parts = []
    for degree in DEGREES:
        risks = exact(degree)
        loss = [0.5 * dict(training).get(degree, 1) * risks.training, 0.5 * dict(test).get(degree, 1) * risks.test]
        of = {
            "dataset__function": "sine",
            "dataset__noise": NOISE,
            "dataset__num_train": TRAIN,
            "dataset__num_test": TEST,
        }
        metrics = (("train/loss", [loss[0]]), ("test/loss", [loss[1]]))
        parts.append(runs(*metrics, sweep="polynomials", model__degree=degree, **of))
    for k, error in (NEIGHBOURS | (neighbours or {})).items():
        metrics = (("train/error", [train_one if k == 1 else 0.1]), ("test/error", [error]))
        of = {"num_train": 1000, "num_test": 4000, "dataset__separation": 2.0, "dataset__spread": 1.0}
        parts.append(runs(*metrics, sweep="neighbours", model__k=k, **of))
    for sweep, errors in (("random features", FEATURES | (features or {})), ("nets", NETS | (nets or {}))):
        for width, error in errors.items():
            metrics = (("train/error", [0.1]), ("test/error", [error]))
            parts.append(runs(*metrics, sweep=sweep, model__width=width, num_train=200, dataset__noise=0.2))
    return together(*parts)


def test_claims_hold_of_theorys_own_numbers(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 9
    best, worst = (min(exact(d).test for d in DEGREES), min(exact(d).test for d in (DEGREES[0], DEGREES[-1])))
    measured = [claim.measured for claim in claims]
    assert measured[1:4] == pytest.approx([0, worst / best, 0], abs=1e-9)
    assert measured[6:] == pytest.approx([0, 20, 5], abs=1e-9)
    assert claims[5].threshold == pytest.approx(100 * bayes_error(2.0), abs=0.01)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0, 1], {"training": {3: 2.0}}),
        ([1], {"test": {7: 2.0, 11: 2.5}}),
        ([2], {"test": {15: 0.1}}),
        ([3], {"train_one": 0.01}),
        ([4, 6], {"neighbours": {1: 0.3}}),
        ([5, 6], {"neighbours": {1: 0.1}}),
        ([6], {"neighbours": {9: 0.3}}),
        ([7], {"features": {2000: 0.45}}),
        ([8], {"nets": {256: 0.09}}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_a_deviation_counts_in_standard_errors_of_its_mean(runs, together):
    """One s.d. above in each of four data sets is two standard errors."""
    risks = exact(7)
    factor = 1 + risks.test_spread / risks.test
    part = table_of(runs, together, test={7: factor})
    part = part[(part["sweep"] == "polynomials") & (part["model.degree"] == 7)]
    assert figure._largest_deviation(part) == pytest.approx(1)
    four = together(*(part.assign(run_id=f"{i}", seed=i) for i in range(4)))
    assert figure._largest_deviation(four) == pytest.approx(2)


def test_without_widths_beyond_the_examples_nothing_can_be_said_of_them(runs, together):
    table = table_of(runs, together)
    claims = figure.claims(table[~table["model.width"].isin([2000])])
    assert claims[7].verdict == "not measured"
    assert np.isnan(claims[7].values).all()
