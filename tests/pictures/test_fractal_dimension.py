from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.fractal_dimension import caption, draw, fit
from atml_exp.runs import Run


def test_reference_lines_have_the_slopes_of_their_dimensions(run: Run) -> None:
    axes = draw(run, "fractal_dimension").axes[0]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    slopes = [fit(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())).slope for line in dotted]
    np.testing.assert_allclose(slopes, [0, 1 / 2, 2 / 3], atol=1e-12)


def test_repeated_subsamples_enter_the_fit_each(make_run: Callable[..., Run]) -> None:
    sizes = np.array([100.0, 200.0, 400.0])
    sums = np.stack([2 * sizes**0.5, 8 * sizes**0.5])
    assert fit(sizes, sums) == pytest.approx((0.5, np.log(4), np.log(2)))
    arrays = {"fractal_dimension/sizes": sizes[None], "fractal_dimension/weighted_sums": sums[None]}
    axes = draw(make_run(arrays=arrays), "fractal_dimension").axes[0]
    assert max(len(np.asarray(line.get_xdata())) for line in axes.lines) == 6


@pytest.mark.parametrize("reliable", [0.0, 1.0])
def test_an_unreliable_fit_says_so(make_run: Callable[..., Run], reliable: float) -> None:
    found = make_run(series={"fractal_dimension/reliable": {1320: reliable}})
    said = "unreliable" in draw(found, "fractal_dimension").axes[0].get_title(loc="left")
    assert said == ("says nothing reliable" in caption(found, "fractal_dimension")) == (reliable == 0)


def test_sums_that_have_no_logarithm_are_refused(make_run: Callable[..., Run]) -> None:
    found = make_run(arrays={"fractal_dimension/weighted_sums": np.zeros((1, 11))})
    with pytest.raises(ValueError, match="not all positive numbers"):
        draw(found, "fractal_dimension")


def test_too_few_different_points_are_named_as_the_reason(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"flat/num_points": {1320: 3.0}, "flat/reliable": {1320: 0.0}})
    with pytest.raises(ValueError, match="3 of the recorded points are different"):
        draw(found, "flat")


def test_the_caption_names_what_was_compared(make_run: Callable[..., Run]) -> None:
    assert "weight vectors" in caption(make_run(), "fractal_dimension")
    node = {"fn": {"alpha": 1.0, "metric": "mean_absolute"}, "reads": "loss_trajectory/errors"}
    found = make_run(config={"probe": {"fractal_dimension": node}})
    assert "errors of single examples, at their mean absolute difference" in caption(found, "fractal_dimension")
