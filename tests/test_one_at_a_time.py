"""Calls from several threads take turns, and their numbers are those of calls one after the other."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

import atml_exp
from atml_exp import runner
from atml_exp.one_at_a_time import one_at_a_time
from atml_exp.probe_run import probe_run
from atml_exp.recorder import Checkpoint

JOBS = [
    f"device=cpu progress=false dtype=float64 probe=[] model=mlp model.width={width} model.depth={depth} "
    f"seed={seed} recipe.steps=6it recipe.batch_size=16 recipe.evaluate_every=1it"
    for width, depth, seed in ((8, 1, 0), (9, 2, 1), (10, 3, 2), (11, 4, 3))
]


@pytest.fixture
def _often_interrupted():
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def weights(overrides, folder):
    (run,), _ = atml_exp.run(overrides, output_dir=folder)
    model = Checkpoint(run.checkpoints[-1]).model
    return {name: tensor.numpy().tobytes() for name, tensor in model.items()}


@pytest.mark.usefixtures("_often_interrupted")
def test_runs_of_four_threads_are_those_of_one_bit_for_bit(tmp_path):
    alone = [weights(job, tmp_path / "alone") for job in JOBS]
    together = threading.Barrier(len(JOBS))

    def at_once(job):
        together.wait()
        return weights(job, tmp_path / "at once")

    with ThreadPoolExecutor(len(JOBS)) as threads:
        assert list(threads.map(at_once, JOBS)) == alone


def test_one_marked_function_runs_at_a_time_and_may_call_another():
    inside, most = [], []

    @one_at_a_time
    def inner():
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()

    @one_at_a_time
    def outer():
        inner()

    threads = [threading.Thread(target=fn) for fn in (inner, outer) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * len(threads)


@pytest.mark.parametrize(
    "call", [atml_exp.run, atml_exp.figure, atml_exp.restore, runner.run, runner.groups_to_train, probe_run]
)
def test_whoever_trains_or_measures_waits_for_its_turn(call):
    ended = threading.Event()

    def refused():
        with suppress(Exception):
            call(object())  # what can't be trained or measured
        ended.set()

    @one_at_a_time
    def meanwhile():
        threading.Thread(target=refused, daemon=True).start()
        return ended.wait(0.3)

    assert not meanwhile()
    assert ended.wait(30)


def test_an_error_lets_the_next_one_in():
    @one_at_a_time
    def fails():
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        fails()
    thread = threading.Thread(target=one_at_a_time(lambda: None), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
