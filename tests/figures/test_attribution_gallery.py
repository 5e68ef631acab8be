import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import attribution_gallery as figure

MAPS = ("lime", "saliency", "smoothgrad", "grad_cam")
OF_TABLE = ("gradient_input", "integrated_gradients", "exact_shap")
W, X = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 1.0, 3.0], [0.5, -1.0, 2.0]])


def matrix(names, pairs):
    """Correlations: 1 on the diagonal, `pairs`, and 0.1."""
    values = np.full((len(names), len(names)), 0.1) + 0.9 * np.eye(len(names))
    for (one, other), value in pairs.items():
        i, j = names.index(one), names.index(other)
        values[i, j] = values[j, i] = value
    return values


@pytest.fixture
def table_of(runs, together, tmp_path):
    def recorded(methods, arrays, weights=None):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        config = {"probe": {"attribution": {"fn": {"methods": list(methods)}}}}
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name, "config": config}))
        named = {f"attribution.{key}": values for key, values in arrays.items()}
        named |= {} if weights is None else {"trajectory.weights": weights}
        for key, values in named.items():
            np.savez(directory / "arrays" / f"{key}.npz", steps=np.array([9]), values=np.asarray(values)[None])
        return str(directory)

    def make(gap=0.01, kernel=1e-15, efficiency=1e-15, saliency=0.0, shares=0.0, integrated=0.9, smooth=0.8):
        parts = []
        for seed in (0, 1):
            maps = {m: np.random.default_rng(seed).random((6, 1, 8, 8)) for m in ("input", *MAPS)}
            maps |= {"ranks": matrix(MAPS, {("saliency", "smoothgrad"): smooth}), "target": np.arange(6)}
            of_digits = {"directory": recorded(MAPS, maps), "sweep": "digits"}
            metric = ("attribution/completeness_error/integrated_gradients", [gap])
            parts.append(runs(metric, seed=seed, **of_digits))
            ranks = matrix(OF_TABLE, {OF_TABLE[1:]: integrated, (OF_TABLE[0], OF_TABLE[2]): 0.6})
            small = recorded(OF_TABLE, dict.fromkeys(OF_TABLE, X) | {"ranks": ranks})
            metrics = [
                ("attribution/kernel_shap_error", [kernel]),
                ("attribution/completeness_error/exact_shap", [efficiency]),
            ]
            parts.append(runs(*metrics, seed=seed, sweep="table", directory=small))
            arrays = {m: W * X + shares * (m == "lime") for m in figure.SHARES}
            arrays |= {"saliency": np.abs(W) + saliency + 0 * X, "input": X}
            linear = recorded(("saliency", *figure.SHARES), arrays, np.append(W, 7.0))
            parts.append(runs(("train/loss", [1.0]), seed=seed, sweep="linear", directory=linear))
        return together(*parts)

    return make


def test_claims_hold_where_theory_does(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert claims[0].measured == pytest.approx(1)
    assert claims[5].measured == pytest.approx(0.3)
    assert claims[6].measured == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        (0, {"gap": 0.06}),
        (1, {"kernel": 1e-3}),
        (2, {"efficiency": 1e-3}),
        (3, {"saliency": 0.1}),
        (4, {"shares": 0.1}),
        (5, {"integrated": 0.5}),
        (6, {"smooth": 0.05}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, claim in enumerate(figure.claims(table_of(**changes))) if claim.verdict != "holds"]
    assert found == [failing]


def test_the_matrix_is_in_the_order_of_its_names(table_of):
    panels = figure.draw(table_of()).axes
    matrix_of = panels[-1]
    names = [label.get_text() for label in matrix_of.get_xticklabels()]
    assert names == ["saliency", "SmoothGrad", "Grad-CAM", "LIME"]
    assert matrix_of.images[0].get_array()[0].tolist() == pytest.approx([1, 0.8, 0.1, 0.1])
    assert len(panels) == 5 * 5 + 1
