import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import group_roc as figure
from atml_exp.roc import binormal_area, binormal_roc

D = np.array([1.4, 2.2])
FPR = np.linspace(0, 1, 201)


def arrays(area=0.0, thrown=0.0, inside=0.0):
    """Exact curves of normals; the common point is on the first group's."""
    points = [np.column_stack([np.full(201, g), 1 - FPR, FPR, binormal_roc(FPR, d)]) for g, d in enumerate(D)]
    auc = np.array([binormal_area(d) for d in D]) + area
    common = [0.4, 0.2, float(binormal_roc(0.2, D[0])) - inside]
    return {
        "group_roc/auc": auc,
        "group_roc/auc_low": auc - 0.0196,
        "group_roc/auc_high": auc + 0.0196,
        "group_roc_train/points": np.concatenate(points),
        "group_roc_train/at_threshold": [[0.1, 0.5], [0.1, 0.8]],
        "threshold_optimiser/train_rates_expected": [common, common],
        "threshold_optimiser/train_rates_sampled": [common, np.add(common, [0, thrown, 0])],
        "threshold_optimiser/train_rates_error": np.full((2, 3), 0.01),
    }


def metrics(expected=0.0, test=0.02, accuracy=0.7):
    values = {"gap_before": 0.3, "gap_expected": expected, "gap_sampled": 0.01}
    train = {f"train_{k}": v for k, v in values.items()}
    of_test = {"test_gap_before": 0.3, "test_gap_expected": test, "test_gap_sampled": 0.03}
    accuracies = {"test_accuracy_before": 0.8, "test_accuracy_expected": accuracy}
    return [(f"threshold_optimiser/{k}", [v]) for k, v in {**train, **of_test, **accuracies}.items()]


@pytest.fixture
def table_of(runs, together, recorded):
    def make(of_arrays=(), of_metrics=()):
        directories = [recorded(arrays(**dict(of_arrays))) for _ in range(2)]
        of = {"dataset__separations": "[1.4, 2.2]"}
        return together(
            *[runs(*metrics(**dict(of_metrics)), seed=s, directory=d, **of) for s, d in enumerate(directories)]
        )

    return make


def test_claims_hold_of_exact_curves(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims[:4]] == pytest.approx([0, 0, 0, 0], abs=1e-9)
    assert [claim.measured for claim in claims[4:]] == pytest.approx([0.02 / 0.3, -10])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"of_arrays": {"area": -0.05}}),
        ([1], {"of_metrics": {"expected": 0.001}}),
        ([2], {"of_arrays": {"thrown": 0.06}}),
        ([3], {"of_arrays": {"inside": 0.01}}),
        ([3], {"of_arrays": {"inside": -0.01}}),
        ([4], {"of_metrics": {"test": 0.4}}),
        ([5], {"of_metrics": {"accuracy": 0.81}}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_deviations_are_in_standard_errors(recorded):
    directory = recorded(arrays(area=0.02, thrown=0.02))
    assert figure._area_deviation(directory, D) == pytest.approx(2)
    assert figure._thrown(directory) == pytest.approx(2 / 2**0.5)
