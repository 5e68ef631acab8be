import pytest

from atml_exp.figures.terminal_phase import compared, starts


def test_it_begins_where_the_error_stays_zero(runs, together):
    table = together(
        runs(("train/error", [0.5, 0.0, 0.1, 0.0, 0.0])),
        runs(("train/error", [0.0, 0.0])),
        runs(("train/error", [0.1, 0.1])),
    )
    assert list(starts(table).values()) == [3.0, 0.0]


def test_begin_and_end_are_compared_for_each_run(runs, together):
    table = together(
        runs(("train/error", [0.5, 0.0, 0.0]), ("nc1", [9, 4, 1])),
        runs(("train/error", [0.0, 0.0, 0.0]), ("nc1", [8, 5, 2])),
    )
    assert compared(table, "nc1", lambda begin, end: end / begin) == [0.25, 0.25]


def test_a_run_that_never_gets_there_is_not_compared(runs):
    with pytest.raises(KeyError):
        compared(runs(("train/error", [0.5, 0.5]), ("nc1", [2, 1])), "nc1", lambda begin, end: end)
