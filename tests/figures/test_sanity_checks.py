"""Made-up curves that fall for what looks at the net, and maps of nets with true and with random labels."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import sanity_checks as figure

METHODS = ("gradient", "smoothgrad", "gradient_input", "integrated_gradients", "edges")
SEEDS = (0, 1)


@pytest.fixture
def table_of(runs, together, tmp_path):
    def run(sweep, seed, curves, maps, error):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        arrays = {f"sanity_check.{k}_{w}": v for k, v in curves.items() for w in ("signed", "absolute")}
        arrays |= {f"explanation_instability.{k}": v for k, v in maps.items()}
        for key, values in arrays.items():
            np.savez(directory / "arrays" / f"{key}.npz", steps=np.zeros(1), values=np.asarray(values)[None])
        return runs(("train/error", [0.9, error]), sweep=sweep, seed=seed, directory=str(directory))

    def make(edges=1.0, gradient=0.1, cam=0.0, times_input=0.4, error=0.0, same=False):
        curves = {"gradient": [1, 0.3, gradient], "smoothgrad": [1, 0.3, 0.1], "edges": [1, 1, edges]}
        curves |= {"gradient_input": [1, 0.5, times_input], "integrated_gradients": [1, 0.5, 0.4]}
        found = []
        for seed in SEEDS:
            true, random = np.random.default_rng(seed).normal(size=(2, 5, 64))
            of_true, of_random = (dict.fromkeys(METHODS, maps) for maps in (true, true if same else random))
            found += [
                run("convolutional", seed, curves | {"grad_cam": [1, 0.1, cam]}, {}, 0.0),
                run("perceptron", seed, curves, of_true, 0.0),
                run("random labels", seed, {}, of_random, error),
            ]
        return together(*found)

    return make


def test_claims_hold_for_what_looks_at_the_net(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims[:5]] == pytest.approx([1, 0.1, 0, 0.3, 0])
    assert abs(claims[5].measured) < 0.2


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"edges": 0.99}),
        ([1], {"gradient": -0.6}),
        ([2], {"cam": 0.7}),
        ([3], {"times_input": 0.05}),
        ([4], {"error": 0.2}),
        ([5], {"same": True}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, c in enumerate(figure.claims(table_of(**changes))) if c.verdict != "holds"]
    assert found == failing


def test_without_a_sweep_its_claims_are_not_measured(table_of):
    table = table_of()
    claims = figure.claims(table[table["sweep"] == "convolutional"])
    assert [claim.verdict for claim in claims] == ["holds"] * 4 + ["not measured"] * 2
