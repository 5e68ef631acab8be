from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.trajectory_plane import caption, draw
from atml_exp.runs import Run


def with_plane(make_run: Callable[..., Run], losses: np.ndarray) -> Run:
    arrays = {
        "trajectory_plane/axes": np.stack([np.linspace(-2, 1, 3), np.linspace(-1, 1, 3)])[None],
        "trajectory_plane/loss": losses[None],
        "trajectory_plane/path": np.array([[-1.0, 0.5], [-0.5, -0.5], [0, 0]])[None],
        "trajectory_plane/variance": np.array([0.7, 0.2, 0.1])[None],
    }
    numbers = {"explained": 0.9, "walk": 0.76, "distance": 1.5}
    return make_run(arrays=arrays, series={f"trajectory_plane/{k}": {1320: v} for k, v in numbers.items()})


def test_the_path_is_drawn_and_its_variance_named(make_run: Callable[..., Run]) -> None:
    found = with_plane(make_run, np.arange(1.0, 10).reshape(3, 3))
    axes = draw(found, "trajectory_plane").axes[0]
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[-1.0, 0.5], [-0.5, -0.5], [0, 0]]
    assert "70 %" in axes.get_xlabel()
    assert "20 %" in axes.get_ylabel()
    assert "90 % of the variance" in caption(found, "trajectory_plane")
    assert "76 %" in caption(found, "trajectory_plane")


def test_losses_that_are_all_infinite_are_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no loss on the plane is finite"):
        draw(with_plane(make_run, np.full((3, 3), np.nan)), "trajectory_plane")
