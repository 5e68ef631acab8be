import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import tail_index_control as figure

FIXED = {"dataset__dimension": 50, "probe__tail_index__fn__block_size": 50}
EXPECTED = figure.pooled_reading(np.arange(1, 51) ** -1.5, 50)


def test_the_formula_for_pooled_gaussians_is_that_of_their_sums():
    """A block of K₁ = 4 of scales 1 and 100 has the variance 2 + 2·10⁴: log|Y| − log|X| is ½log(20002) − log 10."""
    truth = (0.5 * np.log(20_002) - np.log(10)) / np.log(4)
    assert 1 / figure.pooled_reading(np.array([1.0, 100.0]), 4) == pytest.approx(truth)


@pytest.fixture
def made(runs, together, tmp_path):
    def run(name, pooled, each, seed, probes=("tail_index",), **columns):
        directory = tmp_path / f"{name}{seed}"
        (directory / "arrays").mkdir(parents=True)
        run_json = directory / "run.json"
        run_json.write_text('{"format_version": 1, "run_id": "x", "status": "complete", "config": {}}')
        readings = []
        for probe in probes:
            values = np.array([[each, 0.9 * each, 1.1 * each, -2.0]])
            np.savez(directory / "arrays" / f"{probe}.readings.npz", steps=np.zeros(1), values=values)
            batch = probe == "batch_tail_index"
            readings += [(f"{probe}/pooled", [1.2 if batch else pooled]), (f"{probe}/per_coordinate", [each])]
        return runs(*readings, seed=seed, directory=str(directory), **FIXED, **columns)

    def make(equal=2.02, unequal=EXPECTED, each=2.02, noise=1.7):
        parts = []
        for seed in (0, 1):
            gauss = {"sweep": "Gaussian", "recipe__replacement": False}
            parts.append(run("equal", equal, each, seed, dataset__spectrum=0.0, **gauss))
            parts.append(run("unequal", unequal, each, seed, dataset__spectrum=3.0, **gauss))
            both = ("tail_index", "batch_tail_index")
            parts.append(run("drawn", noise, noise, seed, both, sweep="SGD", recipe__replacement=True))
            parts.append(run("reshuffled", noise, 3.0, seed, both, sweep="SGD", recipe__replacement=False))
        return together(*parts)

    return make


def test_claims_hold_where_control_and_noise_read_as_said(made):
    claims = check_figure(figure, made())
    assert [c.verdict for c in claims] == ["holds"] * 6
    assert [c.measured for c in claims] == pytest.approx([1, 0, 1, 1.2, 1.7, 1.7])


def test_claims_fail_where_they_do_not(made):
    claims = check_figure(figure, made(equal=1.5, unequal=2.0, each=1.5, noise=2.5))
    assert [c.verdict for c in claims] == ["does not hold"] * 3 + ["holds"] + ["does not hold"] * 2


def test_without_sgd_only_the_control_is_measured(made):
    table = made()
    verdicts = [c.verdict for c in check_figure(figure, table[table["sweep"] == "Gaussian"])]
    assert verdicts == ["holds"] * 3 + ["not measured"] * 3
