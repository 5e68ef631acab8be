import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import gd_paths_2d as figure
from atml_exp.theory import gd_quadratic

SPECTRUM, T = [1.0, 0.05], 120
START = np.array([1.0, 0.5])


def descent(rate, momentum=0.0):
    return np.array([gd_quadratic(SPECTRUM, rate, t, momentum) * START for t in range(T + 1)])


def zigzag(turn=90.0):
    """Steps of falling length, each turned by so many degrees, now left, now right."""
    angles = np.radians(turn) * (np.arange(T) % 2)
    steps = 0.9 ** np.arange(T)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.concatenate([[[0.0, 0.0]], steps.cumsum(0)])


PATHS = {
    "small step": (0.3, descent(0.3)),
    "large step": (1.9, descent(1.9)),
    "line search": (0.1, zigzag()),
    "heavy ball": (1.0, descent(1.0, 0.6)),
    "valley, fixed step": (0.001, np.array([[-1.2, 1.0], [-1.0, 1.0]])),
    "valley, line search": (0.001, np.array([[-1.2, 1.0], [0.9, 0.9]])),
}


@pytest.fixture
def table_of(runs, together, tmp_path):
    def make(**changes):
        parts = []
        for name, (rate, path) in PATHS.items():
            directory = tmp_path / str(len(list(tmp_path.iterdir())))
            (directory / "arrays").mkdir(parents=True)
            (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
            values = changes.get(name.replace(" ", "_").replace(",", ""), path)
            steps = np.arange(len(values))
            np.savez(directory / "arrays" / "suboptimality.point.npz", steps=steps, values=values)
            more = {"optimiser__learning_rate": rate, "model__spectrum": json.dumps(SPECTRUM)}
            parts.append(runs(("suboptimality/gap", [1.0]), sweep=name, directory=str(directory), **more))
        return together(*parts)

    return make


def test_claims_hold_on_exact_paths(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims[:3]] == pytest.approx([0, 100, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"small_step": descent(0.3) + 1e-9}),
        ([0, 1], {"large_step": np.abs(descent(1.9))}),
        ([2], {"line_search": zigzag(80.0)}),
        ([3], {"heavy_ball": descent(0.3)}),
        ([4], {"valley_line_search": np.array([[-1.2, 1.0], [-1.1, 1.0]])}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
