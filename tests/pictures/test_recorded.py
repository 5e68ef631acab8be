from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from atml_exp.pictures.recorded import last, marker, num_examples, series, steps_per_epoch, wilson
from atml_exp.runs import Run


def test_epochs_are_read_off_the_metrics_while_a_run_goes_on(make_run: Callable[..., Run]) -> None:
    assert steps_per_epoch(make_run(info={"steps_per_epoch": None})) == pytest.approx(22)


def test_what_was_never_recorded_is_empty(run: Run) -> None:
    assert [len(part) for part in series(run, "no/such")] == [0, 0]
    assert last(run, "no/such") is None


def test_the_error_of_outputs_that_are_not_numbers_is_none(make_run: Callable[..., Run]) -> None:
    found = make_run(series={"test/loss": {0: 2.3, 22: float("nan")}, "test/error": {0: 0.9, 22: 0.5}})
    assert series(found, "test/error")[1].tolist() == [0.9]
    assert np.isnan(last(found, "test/error"))  # 0.9 is that of an earlier step


def test_a_single_point_is_seen() -> None:
    assert (marker(np.array([1.0, np.nan])), marker(np.array([1.0, 2.0]))) == ("o", "")


def test_wilsons_interval_is_that_of_scipy() -> None:
    expected = binomtest(9, 360).proportion_ci(method="wilson")
    assert wilson(9 / 360, 360) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_number_of_examples_is_read_off_the_sample(make_run: Callable[..., Run]) -> None:
    assert (num_examples(make_run(), "train"), num_examples(make_run(), "test")) == (1437, 360)
    assert num_examples(make_run(info={"system": {}}), "test") is None
