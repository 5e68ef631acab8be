"""Made-up readings of one function at several scales of its first layer."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import reparametrisation as figure

SCALES = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
READINGS = {
    "output_change": np.full(5, 3e-16),
    "top": 2 * np.maximum(SCALES, 1 / SCALES) ** 2,
    "first_layer": 5 / SCALES**2,
    "sam": np.maximum(SCALES, 1 / SCALES),
    "adaptive": np.full(5, 0.3),
}
FAILING = {
    "output_change": np.full(5, 1e-6),
    "first_layer": 5 / SCALES,
    "top": np.full(5, 2.0),
    "adaptive": READINGS["sam"],
    "sam": np.full(5, 0.3),
}


@pytest.fixture
def table(runs, tmp_path):
    """A run with these readings, others where they are given."""

    def make(**others):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for name, values in {"scales": SCALES, **READINGS, **others}.items():
            path = directory / "arrays" / f"reparametrisation.{name}.npz"
            np.savez(path, steps=np.array([9]), values=values[None])
        return runs(("reparametrisation/top", [1.0]), directory=str(directory))

    return make


def test_claims_hold_of_one_function_at_many_scales(table):
    claims = check_figure(figure, table())
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([3e-16, 0, 1e4, 1, 100], abs=1e-12)


@pytest.mark.parametrize(("index", "name"), list(enumerate(FAILING)))
def test_each_claim_fails_by_itself(table, index, name):
    claims = figure.claims(table(**{name: FAILING[name]}))
    assert [c.verdict == "holds" for c in claims] == [i != index for i in range(5)]


def test_readings_are_relative_to_the_net_as_it_was_trained(table):
    left = figure.draw(table()).axes[0]
    curves = [line.get_ydata() for line in left.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(curves[0], np.maximum(SCALES, 1 / SCALES) ** 2)
    np.testing.assert_allclose(curves[1], SCALES**-2.0)
