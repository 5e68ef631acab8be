from collections.abc import Callable

import pytest

from atml_exp.pictures.generic import caption, draw
from atml_exp.runs import Run


def test_one_panel_for_each_scalar(run: Run) -> None:
    assert [a.get_ylabel() for a in draw(run, "sharpness").axes] == ["top"]
    assert len(draw(run, "neural_collapse").axes) == 7


def test_more_scalars_than_panels_are_counted(run: Run) -> None:
    assert len(draw(run, "pruning").axes) == 12
    assert "18 more are in the run's metrics" in caption(run, "pruning").replace("&#x27;", "'")


def test_a_name_is_no_formula(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"mine/$x": {0: 1.0}, "mine/y$": {0: -1.0}, "mine/<b>": {0: float("nan")}})
    draw(found, "mine").draw_without_rendering()
    assert "<b>" not in caption(found, "mine")


def test_no_scalars_are_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="trajectory has recorded no scalars"):
        draw(run, "trajectory")
