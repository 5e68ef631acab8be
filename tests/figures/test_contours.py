import numpy as np
import pytest
from matplotlib.figure import Figure

from atml_exp.figures.contours import contour_levels, draw_path, loss_contours


def test_levels_are_linear_where_a_logarithm_is_undefined_and_two_where_all_is_level():
    assert contour_levels(np.array([0.0, 3.0]), 4).tolist() == [0, 1, 2, 3]
    assert contour_levels(np.full((2, 2), 5.0), 2).tolist() == [5, pytest.approx(6)]


def test_the_first_axis_goes_to_the_right_and_what_is_not_finite_stays_white():
    axes = Figure().subplots()
    loss = np.add.outer(np.array([1.0, 2.0, 4.0]), np.zeros(3))
    loss[2, 2] = np.inf
    loss_contours(axes, np.array([0.0, 1.0, 2.0]), np.array([10.0, 11.0, 12.0]), loss)
    filled = np.concatenate([p.vertices for p in axes.collections[0].get_paths() if len(p.vertices)])
    assert np.ptp(filled[:, 0]) == 2
    assert filled[:, 1].min() >= 10
    assert not (filled == [2.0, 12.0]).all(1).any()


def test_a_path_ends_in_a_star():
    axes = Figure().subplots()
    draw_path(axes, np.array([[0.0, 1.0], [2.0, 3.0]]))
    assert [(line.get_marker(), np.asarray(line.get_xydata())[-1].tolist()) for line in axes.lines] == [
        ("o", [2, 3]),
        ("o", [0, 1]),
        ("*", [2, 3]),
    ]
