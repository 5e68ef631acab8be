from collections.abc import Callable

import pytest

from atml_exp.pictures.neural_collapse import caption, draw
from atml_exp.pictures.recorded import first_zero_error, number
from atml_exp.runs import Run


def test_every_measure_is_drawn_in_its_panel(run: Run) -> None:
    axes = draw(run, "neural_collapse").axes
    assert [a.get_title(loc="left")[:3] for a in axes] == ["NC1", "NC2", "NC3", "NC4"]
    assert [len([line for line in a.lines if len(line.get_xdata()) > 2]) for a in axes] == [1, 4, 1, 1]
    assert all(a.get_ylabel() for a in axes)


def test_the_terminal_phase_is_shaded_from_the_first_zero_error(run: Run) -> None:
    steps, error = run.series("train/error")
    start = first_zero_error(run)
    assert start == steps[error == 0].min() / 22
    axes = draw(run, "neural_collapse").axes[0]
    assert any(patch.get_x() == start for patch in axes.patches)
    assert "terminal phase, from epoch 24" in caption(run, "neural_collapse")
    epochs, nc1 = run.series("neural_collapse/nc1")
    first, final = number(nc1[epochs == start * 22][0]), number(nc1[-1])
    assert f"In it NC1 went from {first} to {final}" in caption(run, "neural_collapse")


def test_no_terminal_phase_without_zero_error(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"train/error": {0: 0.9, 1320: 0.1}})
    assert not draw(found, "neural_collapse").axes[0].patches
    assert "has not reached 0" in caption(found, "neural_collapse")


def test_nothing_recorded_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="none of the measures of neural_collapse"):
        draw(make_run(without=("neural_collapse/",)), "neural_collapse")
