import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import fairness_definitions as figure
from atml_exp.impossibility import negative_balance

BASES, SEEDS = ([0.5, 0.5], [0.4, 0.6], [0.3, 0.7]), range(4)
RNG = np.random.default_rng(0)


def arrays(base, noise, equal=0.0, one=0.0, odds=0.0, balance=0.0):
    """Theory's rates of both rules, each with noise that is 0 on average over seeds, moved by what is said."""
    p, d = np.array(base), np.array([2.0, 2.0])
    apart = base[1] > base[0]
    moved = np.array([0, noise + (one if apart else equal)])
    first = figure._rates(p, *_theory(p, d, np.log(p / (1 - p))))
    second = figure._rates(p, *_theory(p, d, 0 * p))
    positive = 0.6 + 0.2 * (p - 0.5)
    negative = negative_balance(p, positive) + np.array([0, 0.01 * noise + balance])
    rates = np.column_stack([second["selection"], second["fpr"], second["tpr"]])
    return {
        **{f"fairness/{name}": first[name] + moved for name in ("selection", "tpr", "fpr", "ppv")},
        "fairness/base_rate": p,
        "fairness/positive_mean": positive,
        "fairness/negative_mean": negative,
        "threshold_optimiser/test_rates_expected": rates + np.array([[0.0], [noise + odds]]),
    }


def _theory(p, d, log_odds):
    from scipy.stats import norm

    return norm.cdf(d / 2 + log_odds / d), norm.cdf(-d / 2 + log_odds / d)


@pytest.fixture
def table_of(runs, together, recorded):
    def make(calibration=0.02, **changes):
        gaps = [(f"fairness/{n}{end}", [0.1]) for n in figure.NAMES for end in ("", "_low", "_high")]
        gaps.append(("fairness/calibration_worst", [calibration]))
        return together(
            *[
                runs(
                    *gaps,
                    seed=seed,
                    directory=recorded(arrays(base, noise, **changes)),
                    dataset__base_rates=str(base),
                    dataset__separations="[2.0, 2.0]",
                )
                for base in BASES
                for seed, noise in zip(SEEDS, (-0.01, 0.01, -0.02, 0.02), strict=True)
            ]
        )

    return make


def test_claims_hold_of_theorys_rates(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims[:2]] == pytest.approx([0, 0], abs=1e-9)
    assert claims[2].measured < 0.5  # PPV is not linear in the noise


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0, 1], {"equal": 0.06}),
        ([1], {"one": 0.06}),
        ([2], {"odds": 0.06}),
        ([3], {"calibration": 0.06}),
        ([4], {"balance": 0.01}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_one_seed_has_no_standard_error(table_of):
    table = table_of()
    claims = figure.claims(table[table["seed"] == 0])
    assert [claim.verdict for claim in claims] == ["not measured"] * 3 + ["holds", "not measured"]
