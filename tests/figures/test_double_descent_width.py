import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import double_descent_width as figure
from atml_exp.theory import min_norm_risk

D, N, NOISE = 20, 10, 0.5
WIDTHS = (1, 5, 10, 15, 20)
ERRORS = {5: 0.4, 10: 0.3, 20: 0.8, 40: 0.35, 100: 0.25}
"""Of random features at 20 examples, by width."""
RIDGE = {5: 0.4, 10: 0.3, 20: 0.3, 40: 0.28, 100: 0.25}
NET = {2: 0.3, 4: 0.2, 8: 0.25, 64: 0.15}
TRAINING = {2: 0.2, 4: 0.1, 8: 0.0, 64: 0.0}


def table_of(runs, together, seed=0, factor=1.0, at_n=30.0, features=ERRORS, ridge=RIDGE, net=NET):
    parts = []
    linear = {"dataset__dimension": D, "dataset__noise_std": NOISE, "seed": seed}
    for p in WIDTHS:
        risk = min_norm_risk(N, p, np.full(D, D**-0.5), NOISE**2)
        loss = factor * risk / 2 if np.isfinite(risk) else 50
        parts.append(runs(("test/loss", [loss]), sweep="least norm", num_train=N, model__width=p, **linear))
    for n, loss in ((5, 1.0), (10, at_n / 2), (40, 0.3)):
        parts.append(runs(("test/loss", [loss]), sweep="sample size", num_train=n, model__width=10, **linear))
    for penalty, errors in ((0.0, features), (1e-3, ridge)):
        of = {"sweep": "random features", "num_train": 20, "recipe__ridge": penalty, "seed": seed}
        parts += [runs(("test/error", [e]), model__width=p, **of) for p, e in errors.items()]
    for p, error in net.items():
        metrics = (("test/error", [error]), ("train/error", [TRAINING[p]]))
        parts.append(runs(*metrics, sweep="net", num_train=20, seed=seed, model__width=p))
    return together(*parts)


def test_claims_hold_of_a_double_descent(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    measured = [claim.measured for claim in claims]
    assert measured == pytest.approx([0, np.log10(15), 1, 5, 0, 10, 5], abs=1e-9)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"factor": 1.2}),
        ([1], {"at_n": 1.5}),
        ([2], {"features": ERRORS | {20: 0.3, 40: 0.8}}),
        ([3], {"features": ERRORS | {100: 0.35}}),
        ([4], {"ridge": RIDGE | {20: 0.35}}),
        ([5], {"net": NET | {64: 0.27}}),
        ([6], {"net": NET | {8: 0.19}}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_a_net_that_fits_at_no_width_has_no_threshold(runs, together):
    table = table_of(runs, together)
    table.loc[(table["sweep"] == "net") & (table["name"] == "train/error"), "value"] = 0.1
    assert [claim.verdict for claim in figure.claims(table)[-2:]] == ["not measured"] * 2
