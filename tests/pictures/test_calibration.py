from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.calibration import caption, draw
from atml_exp.pictures.recorded import wilson
from atml_exp.runs import Run

COUNTS = np.array([0.0, 10, 30, 60])
CONFIDENCE, ACCURACY = np.array([0, 0.4, 0.7, 0.95]), np.array([0, 0.3, 0.5, 1.0])


def with_bins(make_run: Callable[..., Run], counts: np.ndarray = COUNTS, **options: bool) -> Run:
    bins = {"count": counts, "confidence": CONFIDENCE, "accuracy": ACCURACY}
    values = {"expected_error": 0.12, "error_if_calibrated": 0.04, "overconfidence": 0.1}
    return make_run(
        arrays={f"calibration/bin_{key}": v[None] for key, v in bins.items()},
        config={"probe": {"calibration": {"split": "test", "fn": options}}},
        series={f"calibration/{key}": {1320: v} for key, v in values.items()},
    )


def test_bins_are_drawn_with_their_intervals_and_shares_and_empty_ones_are_not(
    make_run: Callable[..., Run],
) -> None:
    above, below = draw(with_bins(make_run), "calibration").axes
    points = above.lines[1].get_xydata()
    np.testing.assert_allclose(points, 100 * np.stack([CONFIDENCE, ACCURACY], 1)[1:])
    (intervals,) = above.collections
    ends = [path.vertices[:, 1] for path in intervals.get_paths()]
    np.testing.assert_allclose(ends[0], 100 * np.array(wilson(0.3, 10)))
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], [0, 10, 30, 60])
    assert sum(bar.get_width() for bar in below.patches) == pytest.approx(100)


def test_the_caption_says_what_chance_gives(make_run: Callable[..., Run]) -> None:
    text = caption(with_bins(make_run), "calibration")
    assert "12" in text
    assert "on average" in text
    assert "temperature" not in text
    assert "temperature" in caption(with_bins(make_run, temperature_scaling=True), "calibration")


def test_no_examples_are_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no example in any bin"):
        draw(with_bins(make_run, 0 * COUNTS), "calibration")
