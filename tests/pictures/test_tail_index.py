from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.tail_index import caption, draw
from atml_exp.runs import Run

SERIES = {"tail_index/pooled": {1320: 1.2}, "tail_index/per_coordinate": {1320: 1.9}}


def heavy(make_run: Callable[..., Run], readings: list[float]) -> Run:
    return make_run(series=SERIES, arrays={"tail_index/readings": np.array([readings])})


def test_every_coordinate_is_counted_and_the_lines_are_the_readings(make_run: Callable[..., Run]) -> None:
    (axes,) = draw(heavy(make_run, [1.5, 1.9, 2.1, 9.0, -3.0, np.inf]), "tail_index").axes
    assert sum(patch.get_height() for patch in axes.patches) == 6
    assert [line.get_xdata()[0] for line in axes.lines] == [1 / 2.0, 1 / 1.9, 1 / 1.2]
    assert [text.get_text()[-4:].strip() for text in axes.texts] == ["= 2", "1.9", "1.2"]


def test_the_caption_gives_both_readings(make_run: Callable[..., Run]) -> None:
    text = caption(heavy(make_run, [1.5]), "tail_index")
    assert "1.9; thrown together into one stream: 1.2" in text
    assert "sums of 20 of them" in text


@pytest.mark.parametrize(("reads", "noise"), [("trajectory/weights", "the last steps"), (None, "mini-batches")])
def test_the_caption_says_whose_tails(make_run: Callable[..., Run], reads: str | None, noise: str) -> None:
    config = {"probe": {"tail_index": {"fn": {"block_size": 7}, "reads": reads}}}
    found = make_run(series=SERIES, config=config)
    assert f"the tails of {noise}" in caption(found, "tail_index")
    assert "sums of 7 of them" in caption(found, "tail_index")


def test_a_run_without_readings_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no finite tail_index/readings"):
        draw(heavy(make_run, [np.nan]), "tail_index")
