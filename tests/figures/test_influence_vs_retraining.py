"""Made-up predictions that are what retraining gives but for a factor, and what is off in each claim."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import influence_vs_retraining as figure

DECAYS, DEPTHS, SEEDS = (0.001, 0.01), (1, 3), (0, 1)


@pytest.fixture
def table_of(runs, together, tmp_path):
    """Of convex models and of nets; correlations of nets by (decay, depth)."""

    def run(sweep, seed, probe, numbers, **columns):
        actual = np.random.default_rng(seed).normal(size=(2, 6))
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for key, values in {"actual": actual, "predicted": 0.8 * actual, "newton": actual}.items():
            np.savez(directory / "arrays" / f"{probe}.{key}.npz", steps=np.zeros(1), values=values[None])
        metrics = [(f"{probe}/{key}", [value]) for key, value in numbers.items()]
        return runs(*metrics, sweep=sweep, seed=seed, directory=str(directory), **columns)

    def make(deviation=1e-14, agree=0.99, newton=0.1, slope=1.1, nets=(0.6, 0.5, 0.95, 0.9)):
        convex = {"newton_deviation": deviation, "scale": 1.0, "correlation": agree, "slope": slope}
        convex |= {"newton_error": newton, "error": 0.2}
        found = [run(s, seed, "influence_check", convex) for s in ("ridge", "logistic") for seed in SEEDS]
        places = [(decay, depth) for decay in DECAYS for depth in DEPTHS]
        for (decay, depth), value in zip(places, nets, strict=True):
            of = {"optimiser__weight_decay": decay, "model__depth": depth}
            found += [run("net", s, "influence_retraining", {"correlation": value}, **of) for s in SEEDS]
        return together(*found)

    return make


def test_claims_hold_where_predictions_are_right(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert [claim.measured for claim in claims] == pytest.approx([1e-14, 0.99, 0.5, 1.1, 0.9, 0.375, 0.075])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"deviation": 1e-6}),
        ([1], {"agree": 0.9}),
        ([2], {"newton": 0.3}),
        ([3], {"slope": 0.9}),
        ([4], {"nets": (0.6, 0.5, 0.95, 0.7)}),
        ([5], {"nets": (0.96, 0.95, 0.95, 0.9)}),
        ([6], {"nets": (0.5, 0.6, 0.9, 0.95)}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, c in enumerate(figure.claims(table_of(**changes))) if c.verdict != "holds"]
    assert found == failing


def test_without_nets_or_with_one_depth_it_says_so(table_of):
    table = table_of()
    convex = figure.claims(table[table["sweep"] != "net"])
    assert [c.verdict for c in convex[4:]] == ["not measured"] * 3
    one = figure.claims(table[(table["sweep"] != "net") | (table["model.depth"] == 1)])
    assert one[6].verdict == "not measured"
