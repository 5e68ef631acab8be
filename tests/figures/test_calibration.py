import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import calibration as figure

T = np.arange(9) / 8
COUNTS = np.array([5.0, 100, 200, 400])
CONFIDENCE = np.array([0.2, 0.4, 0.7, 0.95])


@pytest.fixture
def table_of(runs, together, tmp_path):
    def run(sweep, seed, sure, error, scaled, answers):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        bins = {"count": COUNTS, "confidence": CONFIDENCE, "accuracy": (CONFIDENCE - sure).clip(0, 1)}
        for probe in ("calibration", "calibration_scaled"):
            for key, value in bins.items():
                values = np.tile(value, (len(T), 1))
                np.savez(directory / "arrays" / f"{probe}.bin_{key}.npz", steps=np.arange(len(T)), values=values)
        return runs(
            ("calibration/overconfidence", sure * T),
            ("calibration/expected_error", error + 0 * T),
            ("calibration/error_if_calibrated", 0.02 + 0 * T),
            ("calibration/accuracy", 0.6 + 0 * T),
            ("calibration_scaled/expected_error", scaled + 0 * T),
            ("calibration_scaled/error_if_calibrated", 0.025 + 0 * T),
            ("calibration_scaled/accuracy", 0.6 + answers * T),
            sweep=sweep,
            seed=seed,
            directory=str(directory),
        )

    def make(sure=0.2, error=0.3, scaled=0.03, answers=0.0, smoothed=0.1, squared=-0.1):
        return together(
            *(
                part
                for seed in range(2)
                for part in (
                    run("cross-entropy", seed, sure, error, scaled, answers),
                    run("squared loss", seed, squared, 0.4, 0.03, 0.0),
                    run("label smoothing", seed, 0.05, smoothed, 0.03, 0.0),
                )
            )
        )

    return make


def test_claims_hold_where_one_temperature_mends_a_net_that_is_too_sure(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims] == pytest.approx([15, 15, 0.1, 0, 1 / 3, -10])


def test_bins_of_few_answers_are_not_drawn(table_of):
    left = figure.draw(table_of()).axes[0]
    (first, *_) = left.containers
    np.testing.assert_allclose(first.lines[0].get_xdata(), 100 * CONFIDENCE[1:])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"sure": -0.1}),
        ([1], {"error": 0.01, "scaled": 0.001, "smoothed": 0.005}),
        ([2], {"scaled": 0.2}),
        ([3], {"answers": 0.001}),
        ([4], {"smoothed": 0.4}),
        ([5], {"squared": 0.1}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
