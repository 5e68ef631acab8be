"""Two processes that ask for the same runs at once. `python pairs.py FOLDER` prints what became of them."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from attempts import COMMON, contents, differing, new_folder, trained, uncut, warm_up

from atml_exp.compose import compose_each
from atml_exp.observer import Observer
from atml_exp.runs import find_runs
from atml_exp.signals import until_stopped
from atml_exp.store.environment import environment

STEPS, HELD_AT = 30, 12
SMALL = (*COMMON, f"recipe.steps={STEPS}", "checkpoint.interval=0")
SEEDS = ("seed=0", "seed=1", "seed=2")


def jobs(*more, seeds=SEEDS[:1]):
    return compose_each([[*SMALL, seed, *more] for seed in seeds])


def start(folder, name, configs, *, held=False, alone=False):
    """Trains in a child. held: waits in the middle for a file `go`. alone: populations of one run."""
    child = os.fork()
    if child:
        return child
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        os.dup2(os.open(f"said_{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        note_beginnings()
        if held:
            hold()
        os._exit(until_stopped(partial(trained, configs, max_replicas=1 if alone else None)))
    os._exit(70)


def note_beginnings():
    begin = Observer.begin

    def noted(self, *arguments, **options):
        with Path("trained").open("a") as file:
            file.writelines(f"{r.writer.directory.name} by {os.getpid()}\n" for r in self.recordings)
        return begin(self, *arguments, **options)

    Observer.begin = noted


def hold():
    tick = Observer.tick

    def held(self, state):
        tick(self, state)
        if state.step == HELD_AT:
            Path("held").touch()
            until(Path("go").exists)

    Observer.tick = held


def until(happened, seconds=120):
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > seconds:
            raise TimeoutError
        time.sleep(0.005)


def said(folder, name):
    path = folder / f"said_{name}"
    return path.read_text() if path.exists() else ""


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(folder, first, second, whole=None):
    codes = [code_of(first), code_of(second)]
    return {
        "codes": codes,
        "pids": [first, second],
        "said": [said(folder, "first"), said(folder, "second")],
        "trained": (folder / "trained").read_text().splitlines(),
        "runs": {r.directory.name: r.status for r in find_runs(folder / "outputs")},
        "differs": [] if whole is None else differing(folder, whole),
    }


def one_waits(root, whole, *, then, more=()):
    """The second comes while the first is held; `then(first, second, folder)` happens once it waits."""
    folder = new_folder(root)
    first = start(folder, "first", jobs(), held=True)
    until((folder / "held").exists)
    second = start(folder, "second", jobs(*more))
    until(lambda: said(folder, "second"))
    then(first, second, folder)
    return outcome(folder, first, second, whole)


def go(first, second, folder):
    (folder / "go").touch()


def kill_the_first(first, second, folder):
    os.kill(first, signal.SIGKILL)


def interrupt_the_second(first, second, folder):
    os.kill(second, signal.SIGINT)
    until(lambda: Path(f"/proc/{second}").exists() is False or is_zombie(second))
    go(first, second, folder)


def is_zombie(child):
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def equal_sweeps(root, whole):
    """In opposite orders, run by run, so that each holds what the other wants next."""
    folder = new_folder(root)
    first = start(folder, "first", jobs(seeds=SEEDS), alone=True)
    second = start(folder, "second", jobs(seeds=SEEDS[::-1]), alone=True)
    return outcome(folder, first, second, whole)


def at_the_same_instant(root, *more):
    """Into an empty folder; then, with force=true, for a second attempt."""
    folder = new_folder(root)
    both = [start(folder, name, jobs()) for name in ("first", "second")]
    once = outcome(folder, *both)
    both = [start(folder, name, jobs("force=true")) for name in ("first", "second")]
    return [once, outcome(folder, *both)]


def main(root):
    torch.set_num_threads(1)
    environment()
    warm_up(root, jobs())
    whole, _ = uncut(root, jobs())
    folder = new_folder(root)
    assert code_of(start(folder, "alone", jobs(seeds=SEEDS), alone=True)) == 0
    sweep = contents(folder)
    seen = {
        "waits": one_waits(root, whole, then=go),
        "goes on": one_waits(root, whole, then=kill_the_first),
        "interrupted": one_waits(root, whole, then=interrupt_the_second),
        "refuses": one_waits(root, whole, then=go, more=["wait=false"]),
        "sweeps": [equal_sweeps(root, sweep) for _ in range(2)],
        "instants": [at_the_same_instant(root) for _ in range(3)],
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
