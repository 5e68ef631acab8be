import numpy as np
import pandas as pd
import pytest

from atml_exp.figures.panels import band, each, last_values, log_axis, rows, sweeps, thousands
from atml_exp.figures.style import new_figure, slide


@pytest.fixture
def axes():
    with slide():
        yield new_figure().subplots()


def test_a_band_is_mean_and_range_over_seeds(axes):
    table = pd.DataFrame({"x": [1, 2, 1, 2], "seed": [0, 0, 1, 1], "value": [1.0, 2.0, 3.0, 6.0]})
    at, mean = band(axes, table, "x", "red", scale=10)
    assert (at.tolist(), mean.tolist()) == ([1, 2], [20, 40])
    low, high = axes.collections[0].get_paths()[0].get_extents().get_points()
    assert (low.tolist(), high.tolist()) == ([1, 10], [2, 60])


def test_one_seed_has_no_band(axes):
    band(axes, pd.DataFrame({"x": [1, 2], "seed": [0, 0], "value": [1.0, 2.0]}), "x", "red")
    assert len(axes.collections) == 0


def test_rows_are_chosen_by_name_and_columns():
    table = pd.DataFrame({"name": ["a", "a", "b"], "model.width": [1, 2, 1], "value": [1.0, 2.0, 3.0]})
    assert rows(table, "a", model__width=2)["value"].tolist() == [2.0]


def test_values_come_in_order_and_sweeps_as_they_are_named():
    table = pd.DataFrame({"sweep": ["z", "z", "a"], "rate": [0.2, 0.1, np.nan]})
    assert [value for value, _ in each(table, "rate")] == [0.1, 0.2]
    assert [(name, len(part)) for name, part in sweeps(table)] == [("z", 2), ("a", 1)]


def test_the_last_row_of_each_run_in_the_order_of_the_table():
    table = pd.DataFrame({"run_id": ["b", "b", "a"], "step": [9, 3, 1], "value": [1.0, 2.0, 3.0]})
    assert last_values(table)["value"].tolist() == [1.0, 3.0]


def test_ticks_are_plain_numbers(axes):
    axes.set_ylim(0.01, 1)
    log_axis(axes)
    axes.set_xlim(0, 60000)
    thousands(axes)
    axes.get_figure().draw_without_rendering()
    assert {"0.01", "0.1", "0.5"} <= {t.get_text() for t in axes.get_yticklabels()}
    assert {"0", "20k", "60k"} <= {t.get_text() for t in axes.get_xticklabels()}
