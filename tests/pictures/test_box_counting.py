from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.box_counting import caption, draw
from atml_exp.runs import Run

DIVISIONS = np.array([2.0, 4.0, 8.0, 16.0])


@pytest.fixture
def recorded(make_run: Callable[..., Run]) -> Callable[[float], Run]:
    def make(reliable: float) -> Run:
        values = {"dimension": 1.5, "residual": 0.0, "reliable": reliable, "explained": 0.8}
        arrays = {"divisions": DIVISIONS, "counts": 3 * DIVISIONS**1.5}
        return make_run(
            series={f"box_counting/{key}": {1320: value} for key, value in values.items()},
            arrays={f"box_counting/{key}": value[None] for key, value in arrays.items()},
        )

    return make


def test_the_fit_and_the_slopes_of_dimensions_1_and_2(recorded: Callable[[float], Run]) -> None:
    lines = draw(recorded(1.0), "box_counting").axes[0].lines
    slopes = [np.polyfit(*(np.log(np.asarray(d, float)) for d in line.get_data()), 1)[0] for line in lines]
    np.testing.assert_allclose(slopes, [1, 2, 1.5, 1.5], atol=1e-9)


@pytest.mark.parametrize("reliable", [0.0, 1.0])
def test_too_few_points_are_said(recorded: Callable[[float], Run], reliable: float) -> None:
    found = recorded(reliable)
    said = "unreliable" in draw(found, "box_counting").axes[0].get_title(loc="left")
    assert said == ("say little" in caption(found, "box_counting")) == (reliable == 0)
    assert "80 %" in caption(found, "box_counting")
