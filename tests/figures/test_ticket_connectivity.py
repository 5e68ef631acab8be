import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import ticket_connectivity as figure

DENSITIES = (1.0, 0.1)
BARRIERS = {  # by arm and rewind point, at those densities
    ("ticket", "0ep"): (0.02, 0.03),
    ("ticket", "2ep"): (0.01, 0.005),
    ("redrawn", "0ep"): (0.02, 0.05),
    ("redrawn", "2ep"): (0.02, 0.05),
    ("random", "0ep"): (0.02, 0.08),
    ("random", "2ep"): (0.02, 0.08),
}
ERRORS = {"ticket": 0.05, "redrawn": 0.07, "random": 0.20}


@pytest.fixture
def table(runs, together, tmp_path):
    def make(seed=0, barriers=None, errors=ERRORS):
        parts = []
        for (arm, rewind), values in (BARRIERS | (barriers or {})).items():
            directory = tmp_path / str(len(list(tmp_path.iterdir())))
            (directory / "arrays").mkdir(parents=True)
            (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
            error = errors[arm]
            paths = np.array([[error - 0.01, 0.5, error + 0.01]] * 2)
            np.savez(directory / "arrays" / "instability.test_error_path.npz", steps=np.arange(2), values=paths)
            metrics = (("mask/density", DENSITIES), ("instability/test_error", values))
            more = {"recipe__arm": arm, "recipe__rewind_to": rewind, "directory": str(directory)}
            parts.append(runs(*metrics, seed=seed, **more))
        return together(*parts)

    return make


def test_claims_hold_of_what_the_paper_found(table, together):
    claims = check_figure(figure, together(table(0), table(1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([1, 5, 8, 0.75 - 2.5, 15])


@pytest.mark.parametrize(
    ("failing", "change"),
    [
        ([0, 3], {"barriers": {("ticket", "2ep"): (0.05, 0.04)}}),
        ([1], {"barriers": {("redrawn", "2ep"): (0.02, 0.01)}}),
        ([2], {"barriers": {("random", "2ep"): (0.02, 0.01)}}),
        ([4], {"errors": ERRORS | {"random": 0.04}}),
    ],
)
def test_each_claim_can_fail(table, failing, change):
    claims = figure.claims(table(**change))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
