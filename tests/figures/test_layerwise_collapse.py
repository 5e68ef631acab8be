import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import layerwise_collapse as figure

READINGS = {  # at the start and at the end, by layer
    "nc1": [[1.0, 1.1, 1.2, 1.3], [1.0, 0.5, 0.25, 0.125]],
    "cdnv": [[1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 0.2, 0.1]],
    "test_cdnv": [[1.0, 1.0, 1.0, 1.0], [1.0, 0.6, 0.5, 0.4]],
    "error": [[0.1, 0.1, 0.1, 0.1], [0.1, 0.05, 0.01, 0.0]],
    "test_error": [[0.1, 0.1, 0.1, 0.1], [0.1, 0.08, 0.05, 0.04]],
}


@pytest.fixture
def table(runs, tmp_path):
    def make(seed=0, **ends):
        """ends: what readings are at the end, or, with start_ before the name, at the start."""
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for name, (start, end) in READINGS.items():
            values = np.array([ends.get(f"start_{name}", start), ends.get(name, end)])
            np.savez(directory / "arrays" / f"layer_collapse.{name}.npz", steps=np.array([0, 9]), values=values)
        return runs(("train/loss", [1.0]), seed=seed, directory=str(directory))

    return make


def test_claims_hold_of_layers_that_separate(table, together):
    claims = check_figure(figure, together(table(0), table(1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims] == pytest.approx([-1, 1.3, -1, -1, 0.4, 4])


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (0, {"nc1": [1.0, 0.9, 0.8, 0.01]}),
        (1, {"start_nc1": [1.0, 0.9, 0.8, 0.7]}),
        (2, {"error": [0.1, 0.05, 0.06, 0.0]}),
        (3, {"test_error": [0.1, 0.08, 0.05, 0.06]}),
        (4, {"test_cdnv": [0.3, 0.4, 0.4, 0.4]}),
        (5, {"cdnv": [1.0, 0.9, 0.8, 0.5]}),
    ],
)
def test_each_claim_fails_by_itself(table, index, change):
    claims = figure.claims(table(**change))
    assert [claim.verdict == "holds" for claim in claims] == [i != index for i in range(6)]
