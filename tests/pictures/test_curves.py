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


def test_best_is_the_earliest_lowest_and_passes_over_nan(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"test/error": {0: 0.9, 22: float("nan"), 44: 0.1, 66: 0.1}})
    assert best_test_error(found) == (2.0, 0.1)
    assert "10 %, at epoch 2" in caption(found)


def test_nothing_recorded_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="neither loss nor error"):
        draw(make_run(without=("train/",)))
