import json

import numpy as np
import pandas as pd
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import landscape_2d as figure

AT = np.linspace(-1, 1, 5)


@pytest.fixture
def recorded(tmp_path):
    """The directory of a run whose loss is `curvature` times the squared coordinates, plus a little."""

    def record(curvature: float) -> str:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        bowl = 0.1 + curvature * np.add.outer(AT**2, AT**2)
        arrays = {
            "landscape.coordinates": AT,
            "landscape.loss": bowl[None],
            "slices.coordinates": AT,
            "slices.loss": 0.1 + curvature * np.stack([AT**2, 3 * AT**2]),
            "trajectory_plane.axes": np.stack([AT, AT]),
            "trajectory_plane.loss": bowl,
            "trajectory_plane.path": np.array([[-0.5, 0.5], [0.5, 0.5], [0, 0]]),
            "trajectory_plane.variance": np.array([0.7, 0.2, 0.1]),
        }
        for name, values in arrays.items():
            np.savez(directory / "arrays" / f"{name}.npz", steps=np.array([0]), values=values[None])
        return str(directory)

    return record


def trained(runs, recorded, size, rise, error, plain, explained=0.9, seed=0) -> pd.DataFrame:
    numbers = {
        "slices/rise": rise,
        "plain/rise": plain,
        "test/error": error,
        "trajectory_plane/explained": explained,
        "trajectory_plane/walk": 0.76,
    }
    metrics = [(name, [value]) for name, value in numbers.items()]
    return runs(*metrics, seed=seed, recipe__batch_size=size, directory=recorded(rise))


def test_claims_hold_of_what_the_papers_describe(runs, together, recorded):
    sizes = ((8, 1.0, 0.02, 3.0), (32, 2.0, 0.03, 2.0), (128, 3.0, 0.04, 1.0))
    claims = check_figure(figure, together(*(trained(runs, recorded, *row) for row in sizes)))
    assert [c.verdict for c in claims] == ["holds"] * 5
    assert [round(c.measured, 9) for c in claims] == [3, 1, 2, 90, 14]


def test_claims_fail_of_the_contrary(runs, together, recorded):
    sizes = ((8, 3.0, 0.02, 1.0), (32, 2.0, 0.03, 2.0), (128, 1.0, 0.04, 3.0))
    claims = check_figure(figure, together(*(trained(runs, recorded, *row, explained=0.3) for row in sizes)))
    assert [c.verdict for c in claims] == ["does not hold"] * 5


def test_lines_are_the_mean_over_directions_and_seeds(runs, together, recorded):
    parts = [trained(runs, recorded, b, r, 0.1, 1.0, seed=s) for s, r in ((0, 1.0), (1, 3.0)) for b in (8, 128)]
    axes = next(a for a in figure.draw(together(*parts)).axes if a.get_ylabel().startswith("training loss"))
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), 0.1 + 2 * 2 * AT**2)
