import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import gradient_noise as figure

NOISE = np.array([4.0, 2.0, 1.0, 0.5])


@pytest.fixture
def made(runs, together, tmp_path):
    """`made(growth=…, along=…, curvatures=…, distance=…)`: two runs of a net, and one regression."""

    def arrays(directory, eigenvalues, curvatures):
        folder = tmp_path / directory / "arrays"
        folder.mkdir(parents=True)
        run_json = folder.parent / "run.json"
        run_json.write_text('{"format_version": 1, "run_id": "x", "status": "complete", "config": {}}')
        for name, values in (("eigenvalues", eigenvalues), ("curvatures", curvatures)):
            np.savez(folder / f"gradient_noise.{name}.npz", steps=np.arange(len(values)), values=values)
        return str(tmp_path / directory)

    def make(growth=5.0, along=8.0, curvatures=(8.0, 6.0, 3.0, np.nan), distance=1.05):
        parts = []
        for seed in (0, 1):
            where = arrays(f"net{seed}", np.stack([NOISE[::-1], NOISE]), np.array([curvatures] * 2))
            readings = (
                ("gradient_noise/noise_scale", [60, 80, 90, 60 * growth]),
                ("gradient_noise/curvature_along_noise", [20, 10, 10, along]),
                ("gradient_noise/curvature_at_random", [1, 1, 1, 2]),
            )
            parts.append(runs(*readings, sweep="net", seed=seed, directory=where, recipe__batch_size=64))
        where = arrays("regression", distance * 0.5 * NOISE[None], NOISE[None])
        parts.append(runs(("train/loss", [0.25]), sweep="linear regression", directory=where, dataset__seed=3))
        return together(*parts)

    return make


def test_claims_hold_of_what_the_papers_say(made):
    claims = check_figure(figure, made())
    assert [c.verdict for c in claims] == ["holds"] * 4
    assert [c.measured for c in claims] == pytest.approx([5, 4, 1, 5])
    assert [len(c.values) for c in claims] == [2, 2, 2, 1]


def test_claims_fail_of_the_contrary(made):
    claims = check_figure(figure, made(growth=0.5, along=1.0, curvatures=(1.0, 2.0, 3.0, 8.0), distance=1.5))
    assert [c.verdict for c in claims] == ["does not hold"] * 4
    assert claims[2].measured == pytest.approx(-1)


def test_the_least_reading_counts(made):
    assert figure.claims(made(along=3.0))[1].measured == 1.5


def test_without_the_regression_its_claim_is_not_measured(made):
    table = made()
    assert [c.verdict for c in check_figure(figure, table[table["sweep"] == "net"])][3] == "not measured"
