import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import mode_connectivity as figure


@pytest.fixture
def recorded(tmp_path):
    """The directory of a run with these arrays."""

    def record(**arrays) -> str:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for name, values in arrays.items():
            path = directory / "arrays" / f"mode_connectivity.{name}.npz"
            np.savez(path, steps=np.array([0]), values=np.asarray(values)[None])
        return str(directory)

    return record


def child(runs, step, barrier, seed=0):
    frame = runs(("instability/test_error", [barrier]), sweep="children", seed=seed)
    return frame.assign(step=step)


def stranger(runs, recorded, linear, curve, seed=0):
    heights = {"linear": linear, "matched": linear / 2, "curve": curve}
    paths = {f"{p}_test_error_path": np.array([0.02, h, 0.02]) for p, h in heights.items()}
    metrics = [(f"mode_connectivity/{p}_test_error", [h]) for p, h in heights.items()]
    return runs(*metrics, sweep="strangers", seed=seed, directory=recorded(**paths))


def perceptron(runs, width, linear, matched, seed=0):
    metrics = [(f"mode_connectivity/{p}_test_error", [h]) for p, h in (("linear", linear), ("matched", matched))]
    return runs(*metrics, sweep="widths", seed=seed, model__width=width)


def test_claims_hold_of_what_the_papers_describe(runs, together, recorded):
    table = together(
        *(child(runs, k, b) for k, b in ((0, 0.05), (10, 0.03), (100, 0.01))),
        stranger(runs, recorded, 0.6, 0.01),
        *(perceptron(runs, w, 0.4, m) for w, m in ((8, 0.2), (64, 0.01))),
    )
    claims = check_figure(figure, table)
    assert [c.verdict for c in claims] == ["holds"] * 7
    assert [round(c.measured, 9) for c in claims] == [5, 1, 60, 1, 0.025, 1, -19]


def test_claims_fail_of_the_contrary(runs, together, recorded):
    table = together(
        *(child(runs, k, b) for k, b in ((0, 0.01), (10, 0.03), (100, 0.05))),
        stranger(runs, recorded, 0.01, 0.05),
        *(perceptron(runs, w, 0.1, m) for w, m in ((8, 0.1), (64, 0.2))),
    )
    assert [c.verdict for c in check_figure(figure, table)] == ["does not hold"] * 7


def test_the_mean_and_the_range_of_the_seeds_are_drawn(runs, together, recorded):
    parts = [stranger(runs, recorded, height, 0.01, seed) for seed, height in enumerate((0.4, 0.6))]
    parts += [child(runs, k, 0.05, s) for s in (0, 1) for k in (0, 10)]
    parts += [perceptron(runs, w, 0.4, 0.2, s) for s in (0, 1) for w in (8, 64)]
    middle = figure.draw(together(*parts)).axes[1]
    assert np.asarray(middle.lines[0].get_ydata()).tolist() == [2, 50, 2]
    low, high = (np.asarray(middle.collections[0].get_paths()[0].vertices)[:, 1].astype(float) for _ in range(2))
    assert (low.min(), high.max()) == (2, 60)
