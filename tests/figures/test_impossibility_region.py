import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import impossibility_region as figure
from atml_exp.roc import binormal_roc

N, BASE = 2000, np.array([0.3, 0.5])
FPR = np.linspace(0, 1, N // 4 + 1)[::5]  # whole numbers of negatives


def arrays(apart=0.0, tilt=0.0, moved=0.0, mean=0.0):
    """Groups with exact base rates, ROC curves of normals; moved by as much as the arguments say."""
    base = BASE + np.array([0, apart])
    points, confusion = [], []
    for g, p in enumerate(base):
        positives, negatives = round(N * p), N - round(N * p)
        fpr = np.rint(FPR * negatives) / negatives
        tpr = np.rint(binormal_roc(fpr, 2.0) * positives) / positives
        points.append(np.column_stack([np.full(len(fpr), g), 1 - fpr, fpr + tilt * (fpr > 0) * (fpr < 1), tpr]))
        confusion.append([0.8 * positives, 0.2 * negatives, 0.2 * positives, 0.8 * negatives])
    positive = np.array([0.6, 0.7])
    return {
        "group_roc/points": np.concatenate(points),
        "fairness/confusion": confusion,
        "fairness/base_rate": base + moved,
        "fairness/count": [N, N],
        "fairness/mean_score": base + moved,
        "fairness/positive_mean": positive,
        "fairness/negative_mean": (base + moved) * (1 - positive) / (1 - base - moved) + mean,
    }


@pytest.fixture
def table_of(runs, together, recorded):
    def make(**changes):
        return together(
            *[
                runs(
                    ("test/error", [0.1]),
                    seed=seed,
                    directory=recorded(arrays(**changes)),
                    dataset__base_rates="[0.3, 0.5]",
                )
                for seed in (0, 1)
            ]
        )

    return make


def test_claims_hold_of_exact_groups(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 4
    assert claims[2].measured < 1e-6


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"tilt": 1e-5}),
        ([0, 1], {"moved": 1e-6}),
        ([2], {"apart": 0.1}),
        ([3], {"mean": 1e-6}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_the_standard_error_is_that_of_the_sampled_odds(recorded):
    """FPR of the matched predictors moves with the odds: their spread over samples, beside the delta method's."""
    rng, z = np.random.default_rng(0), []
    for _ in range(60):
        sample = arrays()
        sample["fairness/base_rate"] = rng.binomial(N, BASE) / N
        z.append(figure._forced(recorded(sample), BASE))
    assert np.mean(np.square(z)) == pytest.approx(1, abs=0.6)
