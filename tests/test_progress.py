import contextlib
import io
import re
import sys
import time

import pytest

import atml_exp.progress
from atml_exp.progress import Progress, SweepProgress

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Stands for the module time: one step takes a tenth of a second."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(atml_exp.progress, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def train(progress, clock, steps, *, first=1, seconds=0.1, **postfix):
    with progress:
        for step in range(first, steps + 1):
            clock.now += seconds
            progress.update(step, postfix)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_without_a_terminal_each_tenth_is_a_line(clock):
    stream = io.StringIO()
    train(Progress(80, "digits mlp", stream), clock, 80, **{"train/loss": 0.01234, "test/error": 0.03125})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[4] == (
        "digits mlp  step 40/80 (50 %)  train/loss 0.0123  test/error 0.0312  10 steps/s  0:00:04 left"
    )
    assert "step 80/80 (100 %)" in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_without_a_terminal_slow_steps_make_a_line_after_ten_seconds(clock):
    stream = io.StringIO()
    train(Progress(1_000_000, "slow", stream), clock, 100, seconds=0.5)
    steps = [int(match) for match in re.findall(r"step (\d+)/", stream.getvalue())]
    assert steps == [21, 41, 61, 81, 100]  # every 20 steps of half a second, and where it stopped


def test_a_resumed_run_counts_its_own_steps_for_the_speed(clock):
    stream = io.StringIO()
    train(Progress(1000, "resumed", stream), clock, 1000, first=901)
    assert "step 1000/1000 (100 %)  10 steps/s  0:00:00 left" in stream.getvalue()


def test_a_run_of_one_step_says_so(clock):
    stream = io.StringIO()
    train(Progress(1, "one", stream), clock, 1, **{"train/loss": 2.0})
    assert stream.getvalue() == "one  step 1/1 (100 %)  train/loss 2\n"


def test_slow_speeds_keep_two_digits(clock):
    stream = io.StringIO()
    train(Progress(10, "slow", stream), clock, 10, seconds=3.0)
    assert "0.33 steps/s  0:00:03 left" in stream.getvalue()


def test_in_a_terminal_a_bar_is_drawn_in_place(clock, terminal):
    train(Progress(80, "digits [mlp]", terminal), clock, 80, **{"train/loss": 0.01234})
    text = plain(terminal.getvalue())
    assert re.search(r"digits \[mlp\] ━+.*40/80  10 steps/s  0:00:04 left", text)
    assert "train/loss 0.0123" in text
    assert "\x1b[2K" in terminal.getvalue()  # earlier drawings are erased


def test_in_a_terminal_the_last_state_stays(clock, terminal):
    train(Progress(1000, "fast", terminal), clock, 777, seconds=1e-6)
    assert re.findall(r"(\d+)/1000", plain(terminal.getvalue()))[-1] == "777"
    assert terminal.getvalue().count("/1000") < 6  # drawn by time, not by step


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_the_terminal_is_restored_and_the_error_passes(clock, terminal, error):
    before = sys.stdout, sys.stderr

    def interrupted():
        with Progress(10, "x", terminal) as progress:
            progress.update(3, {})
            raise error

    with pytest.raises(error):
        interrupted()
    assert terminal.getvalue().count(HIDE) == 1
    assert terminal.getvalue().rindex(SHOW) > terminal.getvalue().rindex(HIDE)
    assert (sys.stdout, sys.stderr) == before


def test_a_print_to_a_redirected_stdout_stays_there(clock, terminal, capsys):
    with Progress(10, "x", terminal) as progress:
        progress.update(1, {})
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_a_dumb_terminal_gets_lines(clock, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    train(Progress(10, "x", terminal), clock, 10)
    assert "\x1b" not in terminal.getvalue()
    assert "step 10/10" in terminal.getvalue()


def test_disabled_says_nothing(clock, terminal):
    train(Progress(10, "x", terminal, enabled=False), clock, 10)
    assert terminal.getvalue() == ""


def test_standard_error_is_the_default(clock, capsys):
    train(Progress(10, "x"), clock, 10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step 10/10" in captured.err


@pytest.mark.parametrize("make_stream", [io.StringIO, Terminal])
def test_an_update_that_shows_nothing_costs_less_than_two_microseconds(make_stream, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    postfix = {"train/loss": 1.0}
    with Progress(10**9, "x", make_stream()) as progress:

        def cost(steps=2_000):
            start = time.perf_counter()
            for step in range(steps):
                progress.update(step, postfix)
            return (time.perf_counter() - start) / steps

        assert min(cost() for _ in range(50)) < 2e-6  # the least of many: other processes interrupt


def test_a_sweep_counts_models_over_its_populations(clock):
    stream = io.StringIO()
    with SweepProgress(4, "sweep", stream) as sweep:
        for models, steps in ((3, 10), (1, 50)):
            with sweep.population(models, steps) as part:
                for step in range(1, steps + 1):
                    clock.now += 3 / steps
                    part.update(step, {"train/loss": 0.5})
            sweep.end(models)
    lines = stream.getvalue().splitlines()
    assert "sweep  model 2/4 (52 %)  train/loss 0.5  1 models/s  0:00:02 left" in lines[4]
    assert lines[-1].startswith("sweep  model 4/4 (100 %)")
    assert [int(re.search(r"\((\d+) %\)", line)[1]) for line in lines] == sorted(
        int(re.search(r"\((\d+) %\)", line)[1]) for line in lines
    )


def test_a_population_that_is_cut_short_does_not_count(clock):
    stream = io.StringIO()
    with SweepProgress(4, "sweep", stream) as sweep:
        with contextlib.suppress(MemoryError), sweep.population(4, 10) as part:
            part.update(1, {})
            raise MemoryError
        for _ in range(2):
            with sweep.population(2, 10) as part:
                clock.now += 1
                part.update(10, {})
            sweep.end(2)
    assert stream.getvalue().splitlines()[-1].startswith("sweep  model 4/4 (100 %)")


def test_a_population_that_a_recipe_trains_several_times_counts_once(clock):
    stream = io.StringIO()
    with SweepProgress(4, "sweep", stream) as sweep:
        for _ in range(3):
            with sweep.population(2, 10) as part:
                for step in range(1, 11):
                    clock.now += 20
                    part.update(step, {})
        assert max(shown(stream)) == 50
        sweep.end(2)
    assert shown(stream) == sorted(shown(stream))


def shown(stream):
    """The per cents of all lines."""
    return [int(percent) for percent in re.findall(r"\((\d+) %\)", stream.getvalue())]
