import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import implicit_bias as figure

STEPS, RATE = (0, *(2**k for k in range(13))), 0.8
SVM, OFFSET = np.array([0.6, 0.0]), np.array([0.0, 0.5])
LOG = np.log(RATE * np.maximum(STEPS, 1) + 1)


@pytest.fixture
def table_of(runs, together, tmp_path):
    """One run of each sweep; loss and norm are theory's, times a factor."""

    def run(sweep, metrics):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for key, value in (("svm", SVM), ("offset", OFFSET)):
            np.savez(directory / "arrays" / f"implicit_bias.{key}.npz", steps=[0], values=value[None])
        table = runs(*metrics.items(), sweep=sweep, directory=str(directory), optimiser__learning_rate=RATE)
        steps = table["step"].map(dict(enumerate(STEPS)))
        return table.assign(step=steps, epoch=steps.astype(float))

    def make(
        loss=1.0, slope=1.0, angle=30 / (1 + LOG), gap=0.1 / (1 + LOG), fit=0.0, hinge=0.0, hinge_angle=20, linf=5
    ):
        norm, one = 0.6 * slope * LOG, np.ones(len(STEPS))
        common = {"implicit_bias/norm": norm, "implicit_bias/svm_angle": angle}
        logistic = {"train/loss": loss * 0.36 / (RATE * np.maximum(STEPS, 1)), "implicit_bias/margin_gap": gap}
        parts = [
            run("logistic", common | logistic),
            run("hinge", {"implicit_bias/norm": 1 + hinge * norm, "implicit_bias/svm_angle": hinge_angle * one}),
            run(
                "squared",
                {
                    "implicit_bias/norm": one,
                    "implicit_bias/svm_angle": 40 * one,
                    "implicit_bias/least_squares_distance": fit * one,
                },
            ),
            run("Adam", {"implicit_bias/svm_angle": 50 * one, "implicit_bias/linf_angle": linf * one}),
        ]
        return together(*parts)

    return make


def test_claims_hold_at_theory(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 8
    assert [claim.measured for claim in claims[:2]] == pytest.approx([0, 0], abs=2e-3)
    assert claims[7].measured == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"loss": 1.1}),
        ([1], {"slope": 0.9}),
        ([2], {"angle": 10 + LOG}),
        ([3], {"gap": 0.1 * LOG}),
        ([4], {"fit": 1e-5}),
        ([5], {"hinge": 0.01}),
        ([6], {"hinge_angle": 1}),
        ([7], {"linf": 60}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, claim in enumerate(figure.claims(table_of(**changes))) if claim.verdict != "holds"]
    assert found == failing
