from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.attribution import caption, draw
from atml_exp.runs import Run


def explained(make_run: Callable[..., Run], shape: tuple[int, ...], *methods: str, count: int = 3) -> Run:
    rng = np.random.default_rng(0)
    arrays = {f"attribution/{m}": rng.standard_normal((1, count, *shape)) for m in ("input", *methods)}
    arrays["attribution/target"] = np.arange(count)[None]
    numbers = {"completeness_error/integrated_gradients": 0.0123, "agreement": 0.5, "lime_spread": 0.2}
    return make_run(arrays=arrays, series={f"attribution/{k}": {1320: v} for k, v in numbers.items()})


def test_images_have_a_row_each_and_a_column_for_each_method(make_run: Callable[..., Run]) -> None:
    found = explained(make_run, (1, 8, 8), "lime", "saliency", "grad_cam", count=9)
    panels = draw(found, "attribution").axes
    assert len(panels) == 6 * 4
    assert [p.get_title("center") for p in panels[:4]] == ["input", "saliency", "Grad-CAM", "LIME"]
    lime = found.array("attribution/lime")[1][-1]
    np.testing.assert_array_equal(panels[7].images[0].get_array(), lime[1].sum(0))
    assert panels[7].images[0].get_clim() == (-np.abs(lime[1]).max(), np.abs(lime[1]).max())
    assert panels[5].images[0].get_clim()[0] == 0  # saliency has no sign


def test_colours_of_an_image_stay(make_run: Callable[..., Run]) -> None:
    panels = draw(explained(make_run, (3, 8, 8), "lime"), "attribution").axes
    assert panels[0].images[0].get_array().shape == (8, 8, 3)
    assert panels[1].images[0].get_array().shape == (8, 8)


def test_tables_have_bars_of_the_largest_features(make_run: Callable[..., Run]) -> None:
    found = explained(make_run, (20,), "integrated_gradients", "lime")
    panels = draw(found, "attribution").axes
    assert len(panels) == 2 * 2
    widths = np.array([[bar.get_width() for bar in axes.patches] for axes in panels[:2]])
    assert widths.shape == (2, 8)
    shares = np.stack([found.array(f"attribution/{m}")[1][-1][0] for m in ("integrated_gradients", "lime")])
    shares /= np.abs(shares).max(1, keepdims=True)
    top = np.argsort(-np.abs(shares).mean(0))[:8]
    np.testing.assert_allclose(widths, shares[:, top])
    assert panels[0].get_yticklabels()[0].get_text().startswith(f"$x_{{{top[0]}}}$")


def test_the_caption_gives_the_numbers(make_run: Callable[..., Run]) -> None:
    text = caption(explained(make_run, (20,), "lime"), "attribution")
    for words in ("up to 1.23 %", "is 0.5 on average", "20 % of its size", "input of zeros"):
        assert words in text


def test_a_run_without_attributions_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no attribution by any of"):
        draw(explained(make_run, (20,)), "attribution")
