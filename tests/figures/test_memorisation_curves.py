import json
from itertools import count

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import memorisation_curves as figure

RIGHT, WRONG, RESTORED = [0.1, 0.6, 0.95, 1.0], [0.1, 0.05, 0.1, 1.0], [0.1, 0.6, 0.9, 0.0]
GAP = np.array([0.0, 0.05, 0.1, 0.2])
POOL, MODELS = 40, 60


@pytest.fixture
def table_of(runs, together, tmp_path):
    numbers = count()

    def membership(sweep, wrong=WRONG, restored=RESTORED, best=0.02, mean=0.01, auc=0.7):
        train = 0.3 - GAP
        curves = (
            ("train/error", train),
            ("test/error", train + GAP),
            ("membership/advantage", GAP + best),
            ("membership/mean_loss_advantage", GAP + mean),
            ("membership/auc", [0.5, 0.5, 0.5, auc]),
        )
        labels = (("right_fitted", RIGHT), ("wrong_fitted", wrong), ("wrong_restored", restored))
        fitted = [(f"label_fit/{key}", values) for key, values in labels] if sweep == "wrong labels" else []
        return runs(*curves, *fitted, sweep=sweep)

    def scores(of_wrong=0.9, of_right=0.0, shift=0.0, models=MODELS):
        """Nets that answer left-out examples right with probability 1 − score, and others always."""
        rng = np.random.default_rng(0)
        wrong = np.arange(POOL) < POOL // 4
        included = rng.random((models, POOL)) < 0.5
        correct = included | (rng.random((models, POOL)) > np.where(wrong, of_wrong, of_right))
        parts = []
        for held, right in zip(included, correct, strict=True):
            directory = tmp_path / str(next(numbers))
            (directory / "arrays").mkdir(parents=True)
            (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
            for key, values in (("correct", right), ("included", held), ("changed", wrong)):
                np.savez(
                    directory / "arrays" / f"inclusion.{key}.npz", steps=[0], values=values[None].astype(float)
                )
            metrics = (
                ("inclusion/accuracy_included", [right[held].mean() + shift]),
                ("inclusion/accuracy_left_out", [right[~held].mean()]),
            )
            parts.append(runs(*metrics, sweep="scores", directory=str(directory)))
        return together(*parts)

    def make(wrong=None, right=None, pool=None):
        parts = (
            membership("wrong labels", **(wrong or {})),
            membership("right labels", **{"auc": 0.6, **(right or {})}),
        )
        return together(*parts, scores(**(pool or {})))

    return make


def test_claims_hold_of_made_up_nets(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 8
    measured = [claim.measured for claim in claims]
    assert measured[:5] == pytest.approx([10, 90, 2, 1, 0.1])
    assert measured[5] == pytest.approx(0.9, abs=0.05)
    assert measured[6] == 0


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"wrong": {"wrong": [0.1, 0.5, 0.7, 1.0]}}),
        ([1], {"wrong": {"restored": [0.1, 0.6, 0.7, 0.0]}}),
        ([2], {"right": {"best": -0.01}}),
        ([3], {"wrong": {"mean": -0.01}}),
        ([4], {"right": {"auc": 0.8}}),
        ([5], {"pool": {"of_wrong": 0.3}}),
        ([6], {"pool": {"of_right": 0.4}}),
        ([7], {"pool": {"shift": 0.1}}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_of_too_few_nets_there_are_no_scores(table_of):
    claims = check_figure(figure, table_of(pool={"models": 3}))
    assert [claim.verdict for claim in claims[5:]] == ["not measured"] * 3
    assert "too few trainings" in claims[5].as_dict()["reason"]


def test_labels_that_are_never_learnt_are_not_measured(table_of):
    table = table_of()
    table.loc[table["name"] == "label_fit/right_fitted", "value"] = 0.5
    assert figure.claims(table)[0].verdict == "not measured"
