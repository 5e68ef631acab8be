import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import cross_entropy_overfitting as figure

T, LOG_C = np.arange(9) / 8, float(np.log(10))


def table_of(runs, together, seeds=2, start=LOG_C, rise=1.0, error=-0.1, norm=9.0, right=-0.5, scaled=0.0, mse=0.1):
    """Curves that are straight lines from the start to the end."""
    parts = []
    for seed in range(seeds):
        loss = np.where(T > 0, 1 + rise * T, start)
        parts += [
            runs(
                ("logits/cross_entropy", loss),
                ("test/loss", loss),
                ("train/loss", 1 - T),
                ("test/error", 0.5 + error * T),
                ("logits/norm", 10 + norm * T),
                ("logits/right", 1 + right * T),
                ("logits/wrong", 1 + T),
                ("logits/scaled_cross_entropy", 1 + scaled * T),
                ("calibration/expected_error", 0.1 + 0.2 * T),
                ("calibration_scaled/expected_error", 0.03 + 0 * T),
                sweep="cross-entropy",
                seed=seed,
            ),
            runs(("test/loss", 1 + mse * T), ("test/error", 0.5 + 0 * T), sweep="squared loss", seed=seed),
        ]
    return together(*parts)


def test_claims_hold_where_only_the_wrong_answers_cost_more(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    expected = [0, 2 / 1.25, -7.5, 19 / 12.25, -0.375, 0, (1.1 / 1.025) / (2 / 1.25)]
    assert [claim.measured for claim in claims] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"start": 3.0}),
        ([1], {"rise": -0.1, "mse": -0.5, "scaled": 0.1}),
        ([2], {"error": 0.01}),
        ([3], {"norm": -1.0}),
        ([4], {"right": 0.1}),
        ([5], {"scaled": 0.6}),
        ([6], {"mse": 2.0}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
