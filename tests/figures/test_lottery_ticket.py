import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import lottery_ticket as figure

DENSITIES = [1.0, 0.4, 0.2, 0.1]
ERRORS = {  # at those densities
    "ticket": [0.05, 0.04, 0.04, 0.06],
    "redrawn": [0.05, 0.05, 0.07, 0.09],
    "shuffled": [0.05, 0.06, 0.08, 0.10],
    "random": [0.05, 0.07, 0.09, 0.15],
    "dense": [0.05],
}


def table_of(runs, together, seed=0, **changes):
    parts = [
        runs(("mask/density", DENSITIES[: len(e)]), ("test/error", e), seed=seed, recipe__arm=arm)
        for arm, e in (ERRORS | changes).items()
    ]
    return together(*parts)


def test_claims_hold_of_what_the_paper_found(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([-1, 3, 4, 7, 3])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"dense": [0.03]}),
        ([1], {"redrawn": [0.05, 0.05, 0.03, 0.05]}),
        ([2], {"shuffled": [0.05, 0.05, 0.03, 0.05]}),
        ([3, 4], {"random": [0.05, 0.05, 0.03, 0.05]}),
        ([4], {"random": [0.05, 0.05, 0.07, 0.08]}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_tickets_that_are_not_sparse_say_nothing(runs, together):
    """A ticket that wins at 40 % of the weights isn't the claim's."""
    claims = figure.claims(table_of(runs, together, ticket=[0.05, 0.01, 0.08, 0.09]))
    assert claims[0].measured == pytest.approx(3)
