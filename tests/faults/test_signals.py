"""What else than Ctrl-C stops a command does what Ctrl-C does, in the main thread of a command and nowhere else."""

import os
import shutil
import signal
import threading

import pytest

from atml_exp.commands import figure_cli
from atml_exp.signals import Stopped, deferred, stopping, until_stopped
from atml_exp.store.files import write_atomically
from atml_exp.store.integrity import LOG, reading
from atml_exp.store.together import clean_up

NUMBERS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture(autouse=True)
def not_ignored():
    """Whatever started the tests, nohup for instance, may ignore a signal."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers():
    return {number: signal.getsignal(number) for number in (*NUMBERS, signal.SIGINT)}


@pytest.mark.parametrize("number", [*NUMBERS, signal.SIGINT])
def test_the_exit_code_is_that_of_the_signal_and_handlers_are_put_back(number):
    before = handlers()

    def killed():
        signal.raise_signal(number)
        return 0

    assert until_stopped(killed) == 128 + number
    assert handlers() == before


@pytest.mark.parametrize("number", NUMBERS)
def test_it_is_a_keyboard_interrupt_for_those_who_catch_one(number):
    with pytest.raises(KeyboardInterrupt) as caught, stopping():
        signal.raise_signal(number)
    assert isinstance(caught.value, Stopped)
    assert caught.value.number == number


def test_an_action_that_ends_keeps_its_code():
    assert until_stopped(lambda: 7) == 7


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_ignored_under_nohup_or_handled_by_a_launcher_is_left_alone(number):
    heard = []
    for handler in (signal.SIG_IGN, lambda *_: heard.append(1)):
        before = signal.signal(number, handler)
        try:
            assert until_stopped(lambda: signal.raise_signal(number) or 3) == 3
            assert signal.getsignal(number) is handler
        finally:
            signal.signal(number, before)
    assert heard == [1]


def test_in_another_thread_nothing_is_changed():
    before, seen = handlers(), []

    def work():
        with stopping():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_command_for_figures_ends_with_the_signals_code_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figure_cli, "_list", lambda arguments: os.kill(os.getpid(), signal.SIGTERM))
    assert figure_cli.main(["list"]) == 143


def test_a_second_ctrl_c_while_the_state_is_written_tears_nothing(tmp_path, monkeypatch):
    from atml_exp import train
    from atml_exp.compose import compose_each
    from atml_exp.runner import run
    from atml_exp.runs import Run
    from atml_exp.store import files

    small = (
        "dataset=gaussian_mixture", "model.width=4", "recipe.steps=24", "recipe.batch_size=16", "progress=false",
        "recipe.evaluate_every=4it", "probe=[trajectory]", "probe.trajectory.start=0it", "device=cpu",
    )  # fmt: skip

    def trained(folder, seeds=(0, 1)):
        configs = compose_each([[*small, f"seed={s}", f"output_dir={folder.as_posix()}"] for s in seeds])
        return run(configs, reports=False)

    whole = trained(tmp_path / "whole")
    update, replace = train.update, os.replace
    for write in range(0, 8, 2):
        folder, calls = tmp_path / str(write), []

        def interrupted(population, *rest):
            if population.step == 9:
                raise KeyboardInterrupt
            return update(population, *rest)

        def again(source, target, calls=calls, write=write):
            if any(frame.name == "checkpoint" for frame in stack()):
                calls.append(target)
                if len(calls) == write + 1:
                    raise KeyboardInterrupt
            return replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(train, "update", interrupted)
            patch.setattr(files.os, "replace", again)
            with pytest.raises(KeyboardInterrupt):
                trained(folder)
        assert not list(folder.rglob("*.partial"))
        for a, b in zip(whole, trained(folder), strict=True):
            assert b.status == "complete"
            for name in ("metrics.parquet", "arrays/trajectory.weights.npz"):
                assert (a.directory / name).read_bytes() == (b.directory / name).read_bytes(), (write, name)
            assert Run(b.directory).status == "complete"


def stack():
    import traceback

    return traceback.extract_stack()


def test_a_signal_that_is_deferred_acts_at_the_end_and_only_then():
    reached = []

    def interrupted():
        with deferred():
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_file_is_not_called_damaged_since_reading_it_was_interrupted(tmp_path):
    """As torch does where Ctrl-C comes while it makes a tensor: it takes the exception for an error of its own."""

    def interrupted():
        with reading(tmp_path / "resume.safetensors"):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise TypeError("could not determine the shape") from None

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_a_file_is_whole_although_writing_it_was_interrupted(tmp_path):
    path = tmp_path / "metrics.parquet"

    def write(temporary):
        signal.raise_signal(signal.SIGINT)
        temporary.write_bytes(b"all of it")

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"all of it"


def test_what_served_a_resume_is_gone_although_that_was_interrupted(tmp_path, monkeypatch):
    """Within shutil.rmtree, as of Python 3.11, Ctrl-C may come out as an OSError."""
    (tmp_path / LOG).touch()
    monkeypatch.setattr(shutil, "rmtree", lambda *words, **options: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        clean_up(tmp_path)
    assert list(tmp_path.iterdir()) == []
