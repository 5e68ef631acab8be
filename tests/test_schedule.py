"""Texts as steps: exact for fractions of epochs, and the last step is always due."""

import pytest

from atml_exp.optimisers.schedules.step import step_decay
from atml_exp.schedule import due, num_steps, start_step


def steps(every, total=30, steps_per_epoch=10, start="0it"):
    is_due = due(every, total, steps_per_epoch, start)
    return [t for t in range(total + 1) if is_due(t)]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(7, 7), ("7", 7), ("7it", 7), ("2ep", 20), ("1.1ep", 11), ("0.35ep", 4), ("0.01ep", 1), ("0ep", 0)],
)
def test_durations(duration, expected):
    assert num_steps(duration, 10) == expected


@pytest.mark.parametrize("tenths", range(1, 60))
def test_tenths_of_an_epoch_of_ten_steps_are_whole_steps(tenths):
    assert num_steps(f"{tenths / 10}ep", 10) == tenths


def test_schedules():
    assert steps("7it") == [0, 7, 14, 21, 28, 30]
    assert steps("1ep") == [0, 10, 20, 30]
    assert steps("0.5ep") == [0, 5, 10, 15, 20, 25, 30]
    assert steps("log") == [0, 1, 2, 4, 8, 16, 30]
    assert steps("end") == [30]
    assert steps("100it") == [0, 30]


def test_a_start_shifts_the_schedule():
    assert steps("5it", start="12it") == [12, 17, 22, 27, 30]
    assert steps("1it", start="-3it") == [27, 28, 29, 30]
    assert steps("log", start="2ep") == [20, 21, 22, 24, 28, 30]
    assert steps("1it", start="99it") == [30]
    assert start_step("-1ep", 30, 10) == 20


def test_a_training_of_no_steps_is_measured_once():
    assert [steps(every, total=0) for every in ("1it", "1ep", "log", "end")] == [[0]] * 4


def test_fractions_of_an_epoch_are_exact():
    assert num_steps("0.07ep", 100) == 7  # 0.07 * 100 is 7.000000000000001
    assert num_steps("0.29ep", 100) == 29


@pytest.mark.parametrize("milestone", [0.55, 0.28, 0.07])
def test_a_milestone_is_reached_at_its_exact_step(milestone):
    first = next(t for t in range(100) if step_decay(t, 100, milestones=[milestone], factor=0.1) < 1)
    assert first == round(100 * milestone)
