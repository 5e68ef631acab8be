from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.magnitude import caption, draw
from atml_exp.runs import Run

SCALES = np.geomspace(0.01, 37, 9)


@pytest.fixture
def recorded(make_run: Callable[..., Run]) -> Callable[..., Run]:
    def make(cholesky: float = 1.0) -> Run:
        positive = 1 + 499 * SCALES / (SCALES + 3)
        values = {"positive_small": positive[0], "positive_sqrt_n": positive[-1], "num_points": 500.0}
        values |= {"cholesky": cholesky, "error_bound": 1e-9}
        arrays = {"scales": SCALES, "magnitudes": 0.95 * positive, "positive_magnitudes": positive}
        return make_run(
            series={f"magnitude/{key}": {1320: value} for key, value in values.items()},
            arrays={f"magnitude/{key}": value[None] for key, value in arrays.items()},
        )

    return make


def test_both_curves_and_their_bounds_are_drawn(recorded: Callable[..., Run]) -> None:
    axes = draw(recorded(), "magnitude").axes[0]
    positive, plain = axes.lines[:2]
    np.testing.assert_allclose(positive.get_ydata(), 1 + 499 * SCALES / (SCALES + 3))
    np.testing.assert_allclose(plain.get_ydata(), 0.95 * np.asarray(positive.get_ydata()))
    levels = {float(np.asarray(line.get_ydata())[0]) for line in axes.lines[2:] if line.get_linestyle() == ":"}
    assert levels == {1.0, 500.0}


def test_the_caption_says_whether_the_fallback_was_needed(recorded: Callable[..., Run]) -> None:
    assert "Cholesky" in caption(recorded(), "magnitude")
    assert "left out" in caption(recorded(0.0), "magnitude")
