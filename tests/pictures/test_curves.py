from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.curves import best_test_error, caption, draw
from atml_exp.runs import Run


def test_error_is_in_per_cent_over_epochs(run: Run) -> None:
    loss, error = draw(run).axes
    steps, values = run.series("test/error")
    line = next(line for line in error.lines if line.get_label() == "test")
    np.testing.assert_allclose(line.get_xdata(), steps / 22)
    np.testing.assert_allclose(line.get_ydata(), 100 * values)
    assert (loss.get_ylabel(), error.get_ylabel(), error.get_xlabel()) == ("loss", "error (%)", "epoch")
    assert loss.get_yscale() == "log"


def test_chance_is_drawn_beside(run: Run) -> None:
    loss, error = draw(run).axes
    assert any(np.allclose(line.get_ydata(), np.log(10)) for line in loss.lines)
    assert any(np.allclose(line.get_ydata(), 90) for line in error.lines)


FAR_BELOW_CHANCE = {
    "train/error": {0: 0.0},
    "test/error": {0: 0.0167},
    "train/loss": {0: 1.7},
    "test/loss": {0: 1.72},
}


def test_chance_far_above_all_that_was_measured_leaves_the_panels_their_room(make_run: Callable[..., Run]) -> None:
    found = make_run(series=FAR_BELOW_CHANCE)
    figure = draw(found)
    figure.draw_without_rendering()  # a warning, which is an error here, where the panels find no room
    loss, error = figure.axes
    assert [text.get_text() for text in error.texts] == ["train", "test"]
    assert any(np.allclose(line.get_ydata(), np.log(10)) for line in loss.lines)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_chance_far_below_all_losses_is_left_out(make_run: Callable[..., Run]) -> None:
    losses = {0: 1e3, 22: 1e5}
    found = make_run(series={"train/loss": losses, "test/loss": losses, "test/error": {0: 0.9}})
    loss = draw(found).axes[0]
    assert [text.get_text() for text in loss.texts] == ["train", "test"]
    assert loss.get_ylim()[0] > 100


def test_the_caption_explains_the_dotted_lines_that_there_are(make_run: Callable[..., Run], run: Run) -> None:
    assert "an error of" in caption(run)
    assert "cross-entropy" in caption(run)
    seen = caption(make_run(series=FAR_BELOW_CHANCE))
    assert "cross-entropy" in seen
    assert "an error of" not in seen
    none = caption(make_run(series=FAR_BELOW_CHANCE | {"train/loss": {0: 0.1}, "test/loss": {0: 0.1}}))
    assert "Dotted" not in none


def test_best_is_the_earliest_lowest_and_passes_over_nan(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"test/error": {0: 0.9, 22: float("nan"), 44: 0.1, 66: 0.1}})
    assert best_test_error(found) == (2.0, 0.1)
    assert "10 %, at epoch 2" in caption(found)


def test_nothing_recorded_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="neither loss nor error"):
        draw(make_run(without=("train/",)))
