import math

import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import random_labels

FRACTION = "dataset__wrapper__random_labels__fraction"


def run(runs, p, train, test, seed=0, sweep="labels"):
    columns = {} if p is None else {FRACTION: p}
    return runs(("train/error", train), ("test/error", [0.9, test]), seed=seed, sweep=sweep, **columns)


def complete(runs, together, slow=(0.9, 0.5, 0.0), chance=(0.88, 0.91), noise=(0.9, 0.0)):
    parts = [
        part
        for seed, error in enumerate(chance)
        for part in (
            run(runs, 0.0, (0.9, 0.0), 0.03, seed),
            run(runs, 1.0, slow, error, seed),
            run(runs, None, noise, 0.9, seed, "noise inputs"),
        )
    ]
    return together(*parts)


def verdicts(table):
    return [claim.verdict for claim in check_figure(random_labels, table)]


def test_claims_hold_of_nets_that_fit_everything(runs, together):
    table = complete(runs, together)
    assert verdicts(table) == ["holds"] * 5
    claims = random_labels.claims(table)
    assert claims[2].measured == 2  # epochs: 2 against 1
    assert claims[4].measured == pytest.approx(abs(-0.005) / (0.0212132 / math.sqrt(2)), rel=1e-4)


def test_what_is_not_fitted_is_said(runs, together):
    table = complete(runs, together, slow=(0.9, 0.5, 0.4), noise=(0.9, 0.2))
    claims = random_labels.claims(table)
    assert [c.verdict for c in claims[:2]] == ["does not hold"] * 2
    assert (claims[0].measured, claims[1].measured) == (40, 20)
    assert claims[2].verdict == "not measured"  # an infinite time has no mean


def test_a_test_error_away_from_chance_is_said(runs, together):
    assert verdicts(complete(runs, together, chance=(0.70, 0.71)))[4] == "does not hold"


def test_one_seed_cannot_tell_chance(runs, together):
    assert verdicts(complete(runs, together, chance=(0.9,)))[4] == "not measured"


def test_time_to_fit_is_the_first_epoch_without_error(runs, together):
    table = together(run(runs, 0.5, (0.9, 0.0, 0.1, 0.0), 0.5), run(runs, 1.0, (0.9, 0.1), 0.9))
    assert random_labels.epochs_to_fit(table)["value"].tolist() == [1.0, math.inf]
