import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import decision_boundaries as figure

FIRST, SECOND = np.linspace(-3, 3, 12), np.linspace(-2, 2, 10)
GAUSSIANS, MOONS = (
    (figure.PERCEPTRON, figure.LOGISTIC, figure.SVM),
    (figure.LINE, figure.FEATURES, figure.NET, figure.NEIGHBOURS),
)


def recorded(directory, slope):
    """A straight boundary, x₁ = slope·x₂, with two examples."""
    (directory / "arrays").mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
    arrays = {
        "scores": slope * SECOND[:, None] - FIRST[None],
        "first": FIRST,
        "second": SECOND,
        "inputs": np.array([[1.0, 0.0], [-1.0, 0.5]]),
        "labels": np.array([0, 1]),
    }
    for key, values in arrays.items():
        np.savez(directory / "arrays" / f"decision_boundary.{key}.npz", steps=np.array([9]), values=values[None])
    return str(directory)


@pytest.fixture
def table_of(runs, together, tmp_path):
    def make(mistakes=3.0, missed=0.0, svm=0.999, perceptron=0.7, angles=(9.0, 2.0), features=0.02, net=0.03):
        own = {
            figure.PERCEPTRON: [("mistakes/total", [0, mistakes]), ("train/error", [0.5, missed])],
            figure.LOGISTIC: [("hard_margin/angle", angles)],
        }
        margins = {figure.PERCEPTRON: perceptron, figure.LOGISTIC: 0.9, figure.SVM: svm}
        parts = []
        for seed in (0, 1):
            for sweep in GAUSSIANS:
                metrics = [
                    ("hard_margin/margin", [margins[sweep]]),
                    ("hard_margin/maximum", [1.0]),
                    ("hard_margin/mistake_bound", [20.0]),
                    *own.get(sweep, []),
                ]
                directory = recorded(tmp_path / f"{sweep}{seed}{len(list(tmp_path.iterdir()))}", 0.3 * seed)
                parts.append(runs(*metrics, sweep=sweep, seed=seed, directory=directory))
            for sweep, error in zip(MOONS, (0.12, features, net, 0.02), strict=True):
                directory = recorded(tmp_path / f"{seed}{len(list(tmp_path.iterdir()))}", 0.3 * seed)
                metric = ("test/error", [0.5, error])
                parts.append(runs(metric, sweep=sweep, seed=seed, directory=directory, dataset__noise=0.15))
        return together(*parts)

    return make


def test_claims_hold_on_separated_classes(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims] == pytest.approx([0.15, 0, 0.999, 0.7 / 0.999, -7, 3])
    assert claims[5].threshold == pytest.approx(12.3, abs=0.05)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"mistakes": 21.0}),
        ([1], {"missed": 0.01}),
        ([2], {"svm": 0.9}),
        ([3], {"perceptron": 1.0}),
        ([4], {"angles": (2.0, 9.0)}),
        ([5], {"features": 0.13}),
        ([5], {"net": 0.13}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_where_a_seeds_data_are_not_separable_nothing_is_claimed_of_the_largest_margin(table_of):
    table = table_of()
    gone = (table["name"].isin(["hard_margin/maximum", "hard_margin/mistake_bound"])) & (table["seed"] == 1)
    claims = figure.claims(table[~gone])
    assert [claims[i].verdict for i in (0, 2)] == ["not measured"] * 2


def test_a_sweep_that_is_left_out_leaves_its_panel_empty(table_of):
    table = table_of()
    drawn = figure.draw(table[table["sweep"] != figure.NET])
    assert len(drawn.axes) == 8
    assert not drawn.axes[5].collections
