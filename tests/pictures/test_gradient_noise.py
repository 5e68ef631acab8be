from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.gradient_noise import caption, draw
from atml_exp.runs import Run

SCALE = {"gradient_noise/noise_scale": {0: 5.0, 660: 40.0, 1320: 300.0}}
SPECTRA = {"gradient_noise/eigenvalues": np.array([[4.0, 1.0, 0.25, 0.0]])}


def noisy(make_run: Callable[..., Run], **changes) -> Run:
    return make_run(series={**SCALE, **changes.pop("series", {})}, arrays=SPECTRA, **changes)


def test_the_batch_size_stands_beside_the_scale(make_run: Callable[..., Run]) -> None:
    upper, lower = draw(noisy(make_run), "gradient_noise").axes
    assert [list(line.get_ydata()) for line in upper.lines] == [[5, 40, 300], [64, 64]]
    assert list(lower.lines[0].get_ydata()) == [4, 1, 0.25]  # what is 0 has no place on a logarithmic axis


def test_full_batches_have_no_such_line(make_run: Callable[..., Run]) -> None:
    found = noisy(make_run, config={"recipe": {"batch_size": None}})
    assert len(draw(found, "gradient_noise").axes[0].lines) == 1


def test_the_caption_says_what_was_measured(make_run: Callable[..., Run]) -> None:
    curved = {"gradient_noise/curvature_along_noise": {0: 7.5}, "gradient_noise/curvature_at_random": {0: 0.25}}
    text = caption(noisy(make_run, series=curved), "gradient_noise")
    assert "512 examples of the training set" in text
    assert "last reading is 300" in text
    assert "curvature of 7.5, along random ones of 0.25" in text
    assert "random ones" not in caption(noisy(make_run), "gradient_noise")


def test_a_run_without_a_scale_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="no finite gradient_noise/noise_scale"):
        draw(run, "gradient_noise")
