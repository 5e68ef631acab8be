import math

import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import batch_size_and_sharpness as figure

BATCHES = (8, 32, 128)


def sweep(runs, name, rates, tops, errors=(0.01, 0.02, 0.03), train=0.0, seed=0):
    return [
        runs(
            ("sharpness/top", [1.0, top]), ("test/error", [0.9, error]), ("train/error", [0.9, train]),
            sweep=name, seed=seed, recipe__batch_size=size, optimiser__learning_rate=rate,
        )
        for size, rate, top, error in zip(BATCHES, rates, tops, errors, strict=True)
    ]  # fmt: skip


def test_claims_hold_of_what_the_papers_describe(runs, together):
    fixed = sweep(runs, "same step size", (0.1, 0.1, 0.1), (4, 8, 16))
    ratio = sweep(runs, "same ratio", (0.01, 0.04, 0.16), (8, 8, 10))
    claims = check_figure(figure, together(*fixed, *ratio))
    assert [c.verdict for c in claims] == ["holds"] * 5
    assert claims[0].measured == 1
    assert round(claims[1].measured, 9) == 2
    assert claims[3].measured == pytest.approx(math.log(10 / 8) / math.log(4))
    assert claims[4].measured == 0.8


def test_claims_fail_of_the_contrary(runs, together):
    fixed = sweep(runs, "same step size", (0.1, 0.1, 0.1), (16, 8, 4), errors=(0.03, 0.02, 0.01), train=0.1)
    ratio = sweep(runs, "same ratio", (0.01, 0.04, 0.16), (1, 8, 100))
    claims = check_figure(figure, together(*fixed, *ratio))
    assert [c.verdict for c in claims] == ["does not hold"] * 5


def test_without_the_second_sweep_its_claim_is_not_measured(runs, together):
    claims = check_figure(figure, together(*sweep(runs, "same step size", (0.1, 0.1, 0.1), (4, 8, 16))))
    assert [c.verdict for c in claims][3] == "not measured"
