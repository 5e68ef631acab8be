from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.instability import caption, draw
from atml_exp.runs import Run


def readings(values: dict[int, float]) -> dict[str, dict[int, float]]:
    return {f"instability/{split}_{q}": values for split in ("train", "test") for q in ("loss", "error")}


def test_barriers_over_training_beside_the_line_of_stability(make_run: Callable[..., Run]) -> None:
    found = make_run(series=readings({0: 0.05, 22: 0.01, 44: 0.0}))
    axes = draw(found, "instability").axes[0]
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata()), [5, 1, 0])
    assert list(np.asarray(axes.lines[2].get_ydata())) == [2, 2]
    assert "first so at epoch 1." in caption(found, "instability")


def test_a_net_that_never_was_stable_is_not_called_so(make_run: Callable[..., Run]) -> None:
    found = make_run(series=readings({0: 0.05, 22: 0.04}))
    assert "first so" not in caption(found, "instability")


def test_of_one_reading_the_path_is_drawn(make_run: Callable[..., Run]) -> None:
    arrays = {f"instability/{split}_error_path": np.array([[0.0, 0.3, 0.1]]) for split in ("train", "test")}
    arrays["instability/alphas"] = np.array([[1.0, 0.5, 0.0]])
    axes = draw(make_run(series=readings({1320: 0.25}), arrays=arrays), "instability").axes[0]
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_xydata()), [[0, 0], [0.5, 30], [1, 10]])


def test_nothing_measured_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="the run has no instability/test_loss"):
        draw(make_run(), "instability")
