import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import double_descent_epoch as figure
from atml_exp.theory import gradient_descent_risk

STEPS = 12
TWO, ONE = ([1, 0.01], [1, 20]), ([1, 1], [1, 2])
"""Eigenvalues and teacher."""
VARIANCE, N, RATE = 100.0, 100, 0.5
WRONG = [0.9, 0.5, 0.2, 0.3, 0.4, 0.3]
"""The net's test error by step; all labels are fitted from step 4 on."""
RIGHT = [0.9, 0.5, 0.2, 0.1, 0.1, 0.1]


def linear(runs, name, problem, seed, factor=lambda step: 1.0):
    spectrum, teacher = problem
    steps = [2**k for k in range(STEPS)]
    risks = gradient_descent_risk(steps, spectrum, teacher, VARIANCE, N, RATE) - VARIANCE
    losses = [(factor(step) * risk + VARIANCE) / 2 for step, risk in zip(steps, risks, strict=True)]
    table = runs(
        ("test/loss", losses),
        sweep=name,
        seed=seed,
        num_train=N,
        dataset__noise_std=VARIANCE**0.5,
        dataset__spectrum=str(spectrum),
        dataset__teacher=str(teacher),
        optimiser__learning_rate=RATE,
    )
    return table.assign(step=steps)


def table_of(runs, together, seed=0, two=lambda step: 1.0, one=lambda step: 1.0, wrong=WRONG, right=RIGHT):
    parts = [linear(runs, "two scales", TWO, seed, two), linear(runs, "one scale", ONE, seed, one)]
    for fraction, errors in ((0.0, right), (0.2, wrong)):
        metrics = (("test/error", errors), ("train/error", [0.9, 0.4, 0.2, 0.1, 0, 0]))
        parts.append(runs(*metrics, sweep="net", seed=seed, **{figure.FRACTION: fraction}))
    return together(*parts)


def test_claims_hold_of_a_double_descent(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert claims[0].measured == pytest.approx(0, abs=1e-6)
    assert [claim.measured for claim in claims[4:]] == pytest.approx([20, 10, 10])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"two": lambda step: 1.11}),
        ([0, 1], {"two": lambda step: 0.8 if 2 <= step < 100 else 1.0}),
        ([0, 2], {"two": lambda step: 2.6 if step > 200 else 1.0}),
        ([3], {"one": lambda step: 5.0}),
        ([4], {"wrong": [0.9, 0.6, 0.5, 0.41, 0.4, 0.3], "right": [0.9, 0.5, 0.3, 0.2, 0.1, 0.0]}),
        ([5], {"right": [0.9, 0.5, 0.1, 0.3, 0.4, 0.3]}),
        ([6], {"wrong": [0.9, 0.5, 0.2, 0.3, 0.4, 0.41]}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_a_net_that_never_fits_all_labels_has_no_moment_to_measure_from(runs, together):
    table = table_of(runs, together)
    table.loc[table["name"] == "train/error", "value"] = 0.1
    verdicts = [claim.verdict for claim in figure.claims(table)]
    assert [verdicts[4], verdicts[6]] == ["not measured"] * 2
