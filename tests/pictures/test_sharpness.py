from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from atml_exp.pictures.sharpness import caption, draw, thresholds
from atml_exp.runs import Run


def optimiser(kind: str, **options: Any) -> Mapping[str, Any]:
    return {
        "optimiser": {"_target_": f"atml_exp.optimisers.{kind.lower()}.{kind}", "learning_rate": 0.1, **options}
    }


def diverges_above(kind: str, beta: float, eta: float, curvature: float) -> bool:
    """The iteration itself on ½·curvature·w²."""
    w, v = 1.0, 0.0
    for _ in range(3000):
        g = curvature * w
        v = beta * v + g
        w -= eta * (g + beta * v if kind == "Nesterov" else v)
        if abs(w) > 1e6:
            return True
    return False


@pytest.mark.parametrize(("kind", "beta"), [("GD", 0.0), ("SGD", 0.0), ("Momentum", 0.9), ("Nesterov", 0.9)])
def test_thresholds_are_where_the_iteration_diverges(make_run: Callable[..., Run], kind: str, beta: float) -> None:
    own = thresholds(make_run(config=optimiser(kind, **({"momentum": beta} if beta else {}))))[-1]
    limit = float(own.values[-1])
    assert own.applies
    assert diverges_above(kind, beta, 0.1, 1.02 * limit)
    assert not diverges_above(kind, beta, 0.1, 0.98 * limit)


def test_gds_threshold_stands_beside_momentums(run: Run) -> None:
    gd, own = thresholds(run)
    assert (gd.values.item(), gd.applies) == (40, False)
    assert (own.values.item(), own.applies) == (pytest.approx(76), True)


def test_weight_decay_is_taken_off(make_run: Callable[..., Run]) -> None:
    assert thresholds(make_run(config=optimiser("GD", weight_decay=0.5)))[0].values == [19.5]


def test_adam_has_no_threshold_here(make_run: Callable[..., Run]) -> None:
    found = make_run(config=optimiser("Adam"))
    assert [line.applies for line in thresholds(found)] == [False]
    assert "not a threshold for this optimiser" in caption(found, "sharpness")


def test_a_schedule_moves_the_threshold(make_run: Callable[..., Run]) -> None:
    found = make_run(config=optimiser("GD"), series={"optimiser/learning_rate": {0: 0.1, 660: 0.05, 1320: 0.0}})
    (line,) = thresholds(found)
    np.testing.assert_array_equal(line.epochs, [0, 30, 60])
    np.testing.assert_array_equal(line.values, [20, 40, np.inf])
    assert np.isfinite(draw(found, "sharpness").axes[0].get_ylim()).all()


def test_all_of_the_curve_and_the_threshold_is_in_sight(run: Run) -> None:
    axes = draw(run, "sharpness").axes[0]
    low, high = axes.get_ylim()
    top = run.series("sharpness/top")[1]
    assert low < top.min()
    assert high > 76
    assert axes.get_yscale() == "log"


def test_negative_curvature_is_drawn(make_run: Callable[..., Run]) -> None:
    axes = draw(make_run(series={"sharpness/top": {0: -2.0, 22: 5.0}}), "sharpness").axes[0]
    assert axes.get_ylim()[0] < -2


@pytest.mark.parametrize("batch_size", [None, 64])
def test_the_caption_tells_mini_batches_from_full_ones(
    make_run: Callable[..., Run], batch_size: int | None
) -> None:
    config = {"recipe": {"batch_size": batch_size}, "loss": {"_target_": "atml_exp.losses.mse.mse"}}
    text = caption(make_run(config=config), "sharpness")
    assert ("mini-batches" in text) == (batch_size is not None)


def test_a_logarithmic_loss_that_is_fitted_is_flat_for_another_reason(make_run: Callable[..., Run]) -> None:
    fitted = caption(make_run(), "sharpness")
    assert "this loss and its curvature vanish" in fitted
    assert "mini-batches" not in fitted
    assert "mini-batches" in caption(make_run(series={"train/error": {0: 0.9, 1320: 0.1}}), "sharpness")


def test_one_reading_goes_from_nowhere_to_nowhere(make_run: Callable[..., Run]) -> None:
    single = caption(make_run(series={"sharpness/top": {0: 1000.0}}), "sharpness")
    assert "Its one reading is 1,000" in single
    assert "keeps" not in single


def test_ticks_are_those_of_the_limits_that_are_shown(make_run: Callable[..., Run]) -> None:
    """λ_max within a decade, and a threshold far above: the labels must not be those of the decade."""
    axes = draw(make_run(series={"sharpness/top": {0: 0.5, 22: 0.8}}), "sharpness").axes[0]
    low, high = axes.get_ylim()
    assert len([t for t in axes.get_yticks() if low <= t <= high]) < 12


def test_a_rate_that_nobody_knows_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="neither recorded nor in its config"):
        thresholds(make_run(config={"optimiser": {"_target_": "theirs.Own"}}))
