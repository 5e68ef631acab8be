from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.mode_connectivity import caption, draw
from atml_exp.runs import Run


def with_paths(make_run: Callable[..., Run], *paths: str, quantity: str = "error") -> Run:
    names = [f"mode_connectivity/{p}_{s}_{quantity}" for p in paths for s in ("train", "test")]
    arrays = {f"{name}_path": np.array([[0.0, 0.4, 0.1]]) for name in names}
    arrays["mode_connectivity/alphas"] = np.array([[1.0, 0.5, 0.0]])
    return make_run(arrays=arrays, series={name: {1320: 0.35} for name in names})


def test_each_path_is_drawn_from_this_net_to_the_other(make_run: Callable[..., Run]) -> None:
    found = with_paths(make_run, "linear", "matched", "curve")
    axes = draw(found, "mode_connectivity").axes[0]
    assert len(axes.lines) == 6
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_xydata()), [[0, 0], [0.5, 40], [1, 10]])
    assert caption(found, "mode_connectivity").count("is 35 %") == 3


def test_what_was_left_out_is_not_drawn_and_a_regression_has_a_loss(make_run: Callable[..., Run]) -> None:
    found = with_paths(make_run, "linear", quantity="loss")
    axes = draw(found, "mode_connectivity").axes[0]
    assert len(axes.lines) == 2
    assert axes.get_ylabel() == "loss"
    assert "after matching" not in caption(found, "mode_connectivity")


def test_no_path_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no path is recorded"):
        draw(make_run(), "mode_connectivity")
