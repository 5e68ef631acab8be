import threading

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from atml_exp.figures.style import PALETTE, label_lines, log_if_wide, new_figure, png, rc, style, svg


@style()
def example() -> Figure:
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([0, 1, 2], [1.0, 10.0, 1000.0])
    axes.set_xlabel(r"$\lambda_{\max}$")
    return figure


def test_settings_hold_inside_and_are_put_back() -> None:
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["font.size"] == rc()["font.size"] != before["font.size"]
    assert dict(matplotlib.rcParams) == before
    svg(example())
    assert dict(matplotlib.rcParams) == before


def test_the_same_figure_is_the_same_bytes() -> None:
    assert svg(example()) == svg(example())
    assert png(example()) == png(example())
    assert "<dc:date>" not in svg(example())
    assert png(example()).startswith(b"\x89PNG")


def test_text_is_outlines_so_that_no_font_is_needed() -> None:
    assert "<text" not in svg(example())


def test_threads_draw_the_same_as_one() -> None:
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(svg(example()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [svg(example())] * 4


def _luminance(colour: str) -> float:
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    return float(np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", PALETTE[:3])
def test_first_colours_stand_out_from_white(colour: str) -> None:
    assert 1.05 / (_luminance(colour) + 0.05) > 3  # WCAG 2.1's minimum for graphics


@pytest.mark.parametrize(
    ("values", "scale"), [([0.001, 1.0], "log"), ([1.0, 2.0], "linear"), ([0.0, 9.0], "linear")]
)
def test_axis_is_logarithmic_only_for_positive_values_over_decades(values: list[float], scale: str) -> None:
    axes = new_figure().subplots()
    axes.plot(values)
    log_if_wide(axes, [*values, float("nan"), float("inf")])
    assert axes.get_yscale() == scale


def test_labels_of_equal_heights_do_not_overlap_and_nan_gets_none() -> None:
    axes = new_figure().subplots()
    axes.set_ylim(0, 1)
    label_lines(
        axes, {"a": (0.5, "black"), "b": (0.5, "black"), "c": (0.99, "black"), "d": (float("nan"), "black")}
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert not any(p.overlaps(q) for i, p in enumerate(boxes) for q in boxes[:i])
