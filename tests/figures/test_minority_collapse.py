"""Made-up classifiers: the frequent half of the classes at one mean cosine, the rare half at another."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import minority_collapse as figure
from atml_exp.unconstrained import classifier_cosines, minority_merges

FULL, CLASSES, DECAY = 50, 6, 0.015
RATIOS = (1.0, 5.0, 10.0)


@pytest.fixture
def run(runs, tmp_path):
    def make(sweep, ratio, cosines, error=0.1, seed=0):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        np.savez(
            directory / "arrays" / "neural_collapse.cosines_weights.npz", steps=np.array([9]), values=cosines[None]
        )
        more = {figure.RATIO: ratio, figure.PER_CLASS: FULL, figure.DECAY: DECAY, "directory": str(directory)}
        return runs(("test/error", [error]), sweep=sweep, seed=seed, **more).assign(num_classes=CLASSES)

    return make


def in_halves(frequent, rare):
    """Cosines with 1 on the diagonal."""
    found = np.zeros((CLASSES, CLASSES))
    found[:3, :3], found[3:, 3:] = frequent, rare
    np.fill_diagonal(found, 1)
    return found


def table_of(run, together, *, merged=1.0, off=0.0, rare=(-0.2, 0.1, 0.5), frequent=-0.3, errors=(0.01, 0.1, 0.3)):
    parts = []
    for index, ratio in enumerate(RATIOS):
        sizes = [FULL] * 3 + [round(FULL / ratio)] * 3
        theory = classifier_cosines(sizes, DECAY)
        if minority_merges(sizes[-1], sum(sizes), DECAY):
            theory[3:, 3:] *= merged
        parts.append(run("unconstrained", ratio, theory + (off if ratio == 5.0 else 0.0)))
        parts.append(run("digits", ratio, in_halves(frequent, rare[index]), errors[index]))
    return together(*parts)


def test_claims_hold_of_what_theory_says(run, together):
    claims = check_figure(figure, table_of(run, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([1, 0, 1, 0.8, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("failing", "change"),
    [
        ([0, 1], {"merged": 0.9}),
        ([1], {"off": 0.1}),
        ([2], {"rare": (0.1, -0.2, 0.5)}),
        ([3], {"frequent": 0.9}),
        ([4], {"errors": (0.3, 0.1, 0.2)}),
    ],
)
def test_each_claim_can_fail(run, together, failing, change):
    claims = figure.claims(table_of(run, together, **change))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_one_sweep_is_drawn_alone(run, together):
    table = table_of(run, together)
    assert figure.draw(table[table["sweep"] == "digits"]).get_axes()
