import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import completeness_error as figure

STEPS = np.array([1, 2, 4, 8, 16, 32, 64])


@pytest.fixture
def table_of(runs, together, tmp_path):
    """Smooth nets err by c/m² (moved by off), ReLU nets by c/m^power."""

    def recorded(errors):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for key, values in {"steps": STEPS, "midpoint": errors, "gauss_legendre": errors / 1e5}.items():
            np.savez(directory / "arrays" / f"completeness.{key}.npz", steps=np.array([9]), values=values[None])
        return str(directory)

    def make(off=0.0, power=1.0, size=0.1, variation=0.4, bare=1e-15, controls=0.2):
        parts = []
        for seed in (0, 1):
            for sweep, activation in (("nets", "relu"), ("nets", "tanh"), ("nets", "gelu"), ("no biases", "relu")):
                smooth = activation != "relu"
                errors = size / STEPS**2.0 if smooth else size / STEPS**power
                numbers = {
                    "smooth": size / (1 + off),
                    "typical": size,
                    "kinked": variation,
                    "gradient_input": bare if sweep == "no biases" else controls,
                    "occlusion": 0.3,
                }
                metrics = [(f"completeness/{k}", [v]) for k, v in numbers.items()]
                where = {"directory": recorded(errors), "model__activation": activation}
                parts.append(runs(*metrics, sweep=sweep, seed=seed, **where))
        return together(*parts)

    return make


def test_claims_hold_at_theory(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert claims[0].measured == pytest.approx(100 * 0.1 / 32)
    assert claims[1].measured == pytest.approx(0)
    assert claims[3].measured == pytest.approx(0, abs=1e-9)
    assert claims[4].measured == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"size": 3.0, "variation": 4.0}),
        ([1, 2], {"off": 0.2}),
        ([3], {"power": 1.5}),
        ([4], {"variation": 0.05}),
        ([5], {"bare": 0.01}),
        ([6], {"controls": 0.01}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, claim in enumerate(figure.claims(table_of(**changes))) if claim.verdict != "holds"]
    assert found == failing


def test_lines_are_theorys(table_of):
    left = figure.draw(table_of(off=0.1)).axes[0]
    lines = {line.get_color(): line.get_ydata() for line in left.lines if line.get_linestyle() == "-"}
    np.testing.assert_allclose(lines[figure.COLOURS["tanh"]], 100 * 0.1 / 1.1 / STEPS**2.0)
    np.testing.assert_allclose(lines[figure.COLOURS["relu"]], 100 * 0.1 * np.sqrt(2 / np.pi) / STEPS)
