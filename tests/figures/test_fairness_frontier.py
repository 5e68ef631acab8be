import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.fair_frontier import equalised_odds_frontier, parity_frontier
from atml_exp.figures import fairness_frontier as figure

RATES, DISTANCES = [0.3, 0.6], [1.5, 2.5]
FRONTIER = {
    "demographic_parity": lambda gap: float(parity_frontier(np.array([gap]), RATES, DISTANCES)[0]),
    "equalised_odds": lambda gap: float(equalised_odds_frontier(np.array([gap]), RATES, DISTANCES)[0]),
}
GAPS = {0.0: 0.35, 1.0: 0.2, 10.0: 0.05}
"""By strength of the penalty."""


@pytest.fixture
def table_of(runs, together):
    def make(above=0.0, gaps=GAPS, reweighed=0.2, beyond=0.0, cost=0.0):
        """Runs `above` the frontier; with the strongest penalty more accurate by `cost` than it says."""
        common = {
            "dataset__base_rates": json.dumps(RATES),
            "dataset__separations": json.dumps(DISTANCES),
            "dataset__num_test": 40000,
        }
        parts = []
        for kind, frontier in FRONTIER.items():
            name = {"demographic_parity": "parity", "equalised_odds": "odds"}[kind]
            for seed in (0, 1):
                of = {"seed": seed, **common}
                for strength, gap in gaps.items():
                    error = 1 - frontier(gap) - above - (cost if strength == max(gaps) else 0)
                    metrics = ((f"fairness/{kind}", [gap]), ("test/error", [error]))
                    parts.append(runs(*metrics, sweep=f"penalty, {name}", loss__strength=strength, **of))
                for eps in (0.02, 0.08):
                    parts.append(
                        runs(
                            (f"exponentiated_gradient/test_{kind}_expected", [2 * eps]),
                            ("exponentiated_gradient/test_accuracy_expected", [frontier(2 * eps)]),
                            (f"exponentiated_gradient/train_{kind}_expected", [2 * eps + beyond]),
                            ("threshold_optimiser/test_gap_expected", [0.01]),
                            ("threshold_optimiser/test_accuracy_expected", [frontier(0.01)]),
                            sweep=f"reductions, {name}",
                            probe__exponentiated_gradient__fn__eps=eps,
                            **of,
                        )
                    )
        metrics = (("fairness/demographic_parity", [reweighed]), ("test/error", [0.17]))
        parts += [runs(*metrics, sweep="reweighing", seed=seed, **common) for seed in (0, 1)]
        return together(*parts)

    return make


def test_claims_hold_on_the_frontier(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert claims[1].measured == pytest.approx(0, abs=0.01)
    assert claims[2].measured == -1
    assert claims[3].measured == pytest.approx(
        100 * (FRONTIER["demographic_parity"](0.35) - FRONTIER["demographic_parity"](0.05)), abs=1e-6
    )
    assert claims[4].measured == pytest.approx(0.2 / 0.35)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"above": 0.05}),
        ([1], {"above": -0.02}),
        ([2], {"gaps": {0.0: 0.35, 1.0: 0.05, 10.0: 0.2}}),
        ([0, 3], {"cost": 0.1}),
        ([4], {"reweighed": 0.4}),
        ([5], {"beyond": 0.02}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, claim in enumerate(figure.claims(table_of(**changes))) if claim.verdict != "holds"]
    assert found == failing
