"""Made-up spectra: ten classes, nine outliers, a bulk at 0."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import spectrum_evolution as figure

BULK = np.linspace(0.2, 0.1, 11)
TOP = {"none": np.linspace(20, 4, 9), "batch": np.linspace(5, 4, 9)}
SHARE = {"none": [0.1, 0.9, 0.9], "batch": [0.1, 0.5, 0.4]}


@pytest.fixture
def run(runs, tmp_path):
    """A run with these eigenvalues at its end; its density has weight `bulk` at 0, the rest at λ = 1."""

    def make(norm, seed=0, *, top=None, share=None, bulk=0.95, lowest=-0.01):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        share = SHARE[norm] if share is None else share
        last = np.concatenate([TOP[norm] if top is None else top, BULK])
        arrays = {
            "eigenvalues": np.stack([np.linspace(1, 0.5, len(last)), last, last]),
            "nodes": np.tile([0.0, 1.0, np.nan], (3, 1)),
            "weights": np.tile([bulk, 1 - bulk, 0.0], (3, 1)),
        }
        for name, values in arrays.items():
            np.savez(directory / "arrays" / f"spectrum.{name}.npz", steps=np.arange(3), values=values)
        shares = (("gradient_alignment/share", share), ("gradient_alignment/chance", [0.01] * 3))
        more = {"model__normalisation": norm, "directory": str(directory)}
        return runs(("spectrum/lowest", [-0.5, -0.1, lowest]), *shares, seed=seed, **more)

    return make


def test_claims_hold_of_a_bulk_and_outliers(run, together):
    claims = check_figure(figure, together(*(run(norm, seed) for norm in TOP for seed in (0, 1))))
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert claims[0].values == (9.0, 9.0)
    fading = (0.01 / 20) / (0.5 / 1)
    assert [claim.measured for claim in claims[1:]] == pytest.approx([95, fading, 90, 20 / 5, 45])


@pytest.mark.parametrize(
    ("index", "plain", "normalised"),
    [
        (0, {"top": np.linspace(20, 4, 13)}, {"top": np.linspace(4.4, 4, 13)}),
        (1, {"bulk": 0.8}, {}),
        (2, {"lowest": -15}, {}),
        (3, {"share": [0.1, 0.3, 0.3]}, {"share": [0.1, 0.2, 0.2]}),
        (4, {}, {"top": np.linspace(40, 4, 9)}),
        (5, {}, {"share": [0.1, 0.95, 0.95]}),
    ],
)
def test_each_claim_fails_by_itself(run, together, index, plain, normalised):
    claims = figure.claims(together(run("none", **plain), run("batch", **normalised)))
    assert [c.verdict == "holds" for c in claims] == [i != index for i in range(6)]


def test_the_widest_gap_counts_among_positive_ones():
    assert figure.outliers(np.array([5.0, 4.0, 1.0, 0.9, -3.0]), 10) == 2
    assert figure.outliers(np.array([5.0, 4.5, 4.3, 4.2, 0.1]), 3) == 1  # the gap lies beyond the first four
