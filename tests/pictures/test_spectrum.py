from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.spectrum import broadened, caption, draw
from atml_exp.runs import Run

ARRAYS = {
    "spectrum/eigenvalues": np.array([[2.0, 1.0], [8.0, 3.0]]),
    "spectrum/nodes": np.array([[2.0, 0.0, -1.0], [8.0, 0.0, np.nan]]),
    "spectrum/weights": np.array([[0.1, 0.8, 0.1], [0.2, 0.8, 0.0]]),
}
SERIES = {
    "spectrum/trace": {0: 5.0, 1320: 25.0},
    "spectrum/lowest": {0: -1.0, 1320: -0.25},
    "spectrum/converged": {0: 1.0, 1320: 0.0},
}


def spectral(make_run: Callable[..., Run], **series) -> Run:
    run = make_run(series={**SERIES, **series})
    for name, values in ARRAYS.items():
        file = run.directory / "arrays" / f"{name.replace('/', '.')}.npz"
        np.savez(file, steps=np.array([0, 1320]), values=values)
    return run


def test_the_density_integrates_to_one_and_has_its_mass_at_the_nodes():
    at = np.linspace(-3, 10, 20001)
    density = broadened(ARRAYS["spectrum/nodes"][1], ARRAYS["spectrum/weights"][1], at, 0.05)
    step = at[1] - at[0]
    assert density.sum() * step == pytest.approx(1, abs=1e-9)
    assert density[at > 4].sum() * step == pytest.approx(0.2, abs=1e-9)


def test_both_panels(make_run: Callable[..., Run]) -> None:
    upper, lower = draw(spectral(make_run), "spectrum").axes
    assert [text.get_text() for text in upper.texts] == ["epoch 60", "epoch 0"]
    assert [list(line.get_ydata()) for line in lower.lines] == [[2, 8], [1, 3]]


def test_the_caption_says_what_was_measured_and_that_it_has_not_converged(make_run: Callable[..., Run]) -> None:
    text = caption(spectral(make_run), "spectrum")
    assert "on the training set" in text
    assert "its trace is 25, its largest eigenvalue 8, its smallest −0.25" in text
    assert "2 nodes" in text
    assert "ended before" in text
    more = {"spectrum/trace_standard_error": {1320: 1.5}, "spectrum/converged": {1320: 1.0}}
    assert "its trace is 25 (standard error 1.5)" in (text := caption(spectral(make_run, **more), "spectrum"))
    assert "ended before" not in text
