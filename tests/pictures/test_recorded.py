from collections.abc import Callable

import pytest

from atml_exp.pictures.recorded import last, series, steps_per_epoch
from atml_exp.runs import Run


def test_epochs_are_read_off_the_metrics_while_a_run_goes_on(make_run: Callable[..., Run]) -> None:
    assert steps_per_epoch(make_run(info={"steps_per_epoch": None})) == pytest.approx(22)


def test_what_was_never_recorded_is_empty(run: Run) -> None:
    assert [len(part) for part in series(run, "no/such")] == [0, 0]
    assert last(run, "no/such") is None
