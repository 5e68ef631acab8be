from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.landscape import caption, draw
from atml_exp.runs import Run

AT = np.linspace(-1, 1, 5)


def with_slices(make_run: Callable[..., Run], losses: np.ndarray, **options: str) -> Run:
    arrays = {"landscape/coordinates": AT[None], "landscape/loss": losses[None]}
    probe = {"probe": {"landscape": {"split": "train", "fn": options}}}
    return make_run(arrays=arrays, config=probe, series={"landscape/rise": {1320: 0.25}})


def test_every_line_is_drawn(make_run: Callable[..., Run]) -> None:
    losses = np.stack([AT**2, 2 * AT**2])
    found = with_slices(make_run, losses)
    lines = draw(found, "landscape").axes[0].lines
    np.testing.assert_array_equal(np.stack([np.asarray(line.get_ydata()) for line in lines[:2]]), losses)
    assert "0.25 above that of the net" in caption(found, "landscape")


def test_a_plane_is_drawn_with_the_first_direction_to_the_right(make_run: Callable[..., Run]) -> None:
    """The loss rises with the first coordinate only: the contours are upright."""
    losses = np.broadcast_to((AT + 2)[:, None], (5, 5))[None]
    axes = draw(with_slices(make_run, losses), "landscape").axes[0]
    segments = [path.vertices for c in axes.collections[1:2] for path in c.get_paths() if len(path.vertices)]
    assert segments
    assert all(np.ptp(np.asarray(s)[:, 0]) < 1e-9 for s in segments)
    assert "relative to the filters" in axes.get_xlabel()


def test_plain_directions_are_distances(make_run: Callable[..., Run]) -> None:
    found = with_slices(make_run, AT[None] ** 2, normalisation="none")
    assert "distance" in draw(found, "landscape").axes[0].get_xlabel()
    assert "rescaled filter by filter" not in caption(found, "landscape")


def test_losses_that_are_all_infinite_are_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no loss on the slices is finite"):
        draw(with_slices(make_run, np.full((1, 5), np.inf)), "landscape")
