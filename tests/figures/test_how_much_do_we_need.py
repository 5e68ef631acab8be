import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import how_much_do_we_need as figure

DENSITIES = (1.0, 0.5, 0.1)
DENSE = {8: 100, 32: 500, 128: 2000}
"""Weights by width."""
ERRORS = {  # at those densities
    8: (0.10, 0.20, 0.50),
    32: (0.05, 0.055, 0.20),
    128: (0.04, 0.04, 0.045),
}


def table_of(runs, together, seed=0, **changes):
    parts = []
    for width, errors in (ERRORS | {int(k[1:]): v for k, v in changes.items()}).items():
        weights = [d * DENSE[width] for d in DENSITIES]
        metrics = (("mask/density", DENSITIES), ("mask/weights", weights), ("test/error", errors))
        parts.append(runs(*metrics, seed=seed, model__width=width))
    return together(*parts)


def test_claims_hold_where_wide_nets_are_pruned_better(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 3
    # of the narrow nets only the one of 500 weights lies in the range of the widest, pruned to 200 and to 1000
    assert claims[0].measured == pytest.approx(100 * (0.05 - 0.0422), abs=0.03)
    assert claims[2].measured == 0.1


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"w128": (0.09, 0.09, 0.095)}),
        ([0, 1, 2], {"w128": (0.04, 0.10, 0.3)}),
        ([1], {"w32": (0.05, 0.07, 0.2)}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
