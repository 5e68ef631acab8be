"""A process that has imported everything, and trains in children of its own: an attempt costs a fork, no import.

`python attempts.py kills run|fused COUNT FOLDER` and `python attempts.py writes run|fused EVERY FOLDER` cut
trainings off, go on with them, and print what was seen as JSON. The process itself never trains, since threads that
training starts don't survive a fork.
"""

import importlib
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow.parquet  # noqa: F401 (so that no child imports it)
import torch

from atml_exp import observer, population, runner, train  # noqa: F401
from atml_exp.compose import compose_each
from atml_exp.errors import SAID, exit_code
from atml_exp.observer import Observer
from atml_exp.recorder import RunWriter
from atml_exp.runs import find_runs
from atml_exp.signals import deferred, until_stopped
from atml_exp.store.environment import environment

INTERVAL = 0.02
COMMON = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.batch_size=16", "recipe.evaluate_every=10it", "device=cpu",
    "probe=[trajectory]", "probe.trajectory.start=0it", "probe.trajectory.every=2it", "progress=false",
)  # fmt: skip
KILLS = ("recipe.steps=100", "checkpoint.keep=40it", f"checkpoint.interval={INTERVAL}")
WRITES = ("recipe.steps=3", "optimiser.learning_rate=0.5", "checkpoint.keep=2it", "checkpoint.interval=0")
JOBS = {"run": [()], "fused": [("seed=0",), ("seed=1",), ("seed=2", "optimiser.learning_rate=1e9")]}
"""The last one diverges."""
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


class Shared:
    """What a child has done, for its parent to read once it is dead."""

    FIELDS = ("phase", "reached", "ticked", "ticked_at", "before_at", "saved", "saved_at", "writes")

    def __init__(self):
        self._memory = mmap.mmap(-1, 8 * len(self.FIELDS))

    def __getattr__(self, name):
        return struct.unpack_from("d", self._memory, 8 * self.FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        if name in self.FIELDS:
            struct.pack_into("d", self._memory, 8 * self.FIELDS.index(name), value)
        else:
            object.__setattr__(self, name, value)

    def clear(self):
        for name in self.FIELDS:
            setattr(self, name, -1.0)


SHARED = Shared()


def watch():
    """Lets the observer note each step that is reached, each tick and each checkpoint."""
    reach, tick, checkpoint, leave = Observer._reach, Observer.tick, Observer.checkpoint, Observer.__exit__

    def reached(self, state):
        with deferred():  # what is noted is what was reached
            reach(self, state)
            SHARED.reached, SHARED.phase = self.latest_step, 1

    def ticked(self, state):
        SHARED.before_at, SHARED.ticked_at = SHARED.ticked_at, time.monotonic()
        tick(self, state)
        SHARED.ticked = self.latest_step

    def saved(self):
        checkpoint(self)
        SHARED.saved, SHARED.saved_at = self.latest_step, self._saved

    def left(self, *error):
        if error[0] is None:
            SHARED.phase = 2
        leave(self, *error)

    Observer._reach, Observer.tick, Observer.checkpoint, Observer.__exit__ = reached, ticked, saved, left


def die_at(write):
    """Lets the process die at that call of all that change a directory: halfway through a write, else before it."""
    for owner, name in (
        (os, "replace"),
        (Path, "unlink"),
        (Path, "write_bytes"),
        (Path, "mkdir"),
        (shutil, "rmtree"),
    ):
        setattr(owner, name, deadly(getattr(owner, name), write))


def deadly(original, write):
    def changed(*arguments, **options):
        SHARED.writes += 1
        last = SHARED.writes == write
        if last and original.__name__ == "write_bytes":
            original(arguments[0], arguments[1][: len(arguments[1]) // 2])
        if last:
            os._exit(9)
        return original(*arguments, **options)

    return changed


def attempt(folder, configs, *, kill=None, delay=0.0, prepare=watch, action=None):
    """Trains in a child; the signal that ended it, negative, or its exit code; and what it said on stderr."""
    SHARED.clear()
    said, action = folder / "stderr", action or partial(trained, configs)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background ignores it
            prepare()
            os._exit(until_stopped(partial(entered, action)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)
    if kill is not None:
        while SHARED.phase < 0:
            time.sleep(0.0005)
        time.sleep(delay)
        os.kill(child, kill)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), said.read_text()


def entered(action):
    """The command, from its first moment to its last."""
    SHARED.phase = 0
    os._exit(action())


def trained(configs, max_replicas=None):
    """The exit code that a command has; the message of what is refused, without a traceback, on stderr."""
    try:
        several = len(configs) > 1
        results = runner.run(configs, keep_going=several, max_replicas=max_replicas, reports=False)
    except SAID as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    failed = [r.error for r in results if r.status == "failed"]
    sys.stderr.write("\n".join(failed))
    return int(bool(failed))


def resume_steps(folder):
    """Of the runs that haven't ended: those that have need no checkpoint any more."""
    runs = find_runs(folder / "outputs") if begun(folder) else []
    return [RunWriter.resume_step(run.directory) for run in runs if run.status == "running"]


def begun(folder):
    return (folder / "outputs" / "runs").is_dir()


def contents(folder):
    """All that was written, but what is about the clock and the process."""
    files = [p for p in sorted((folder / "outputs").rglob("*")) if p.is_file()]
    return {p.relative_to(folder).as_posix(): told(p) if p.name == "run.json" else p.read_bytes() for p in files}


def told(path):
    clock = ("created", "wall_seconds", "process", "checksum")
    return json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in clock}, sort_keys=True)


def new_folder(root):
    folder = root / str(len(list(root.iterdir())))
    folder.mkdir()
    return folder


def differing(folder, whole):
    found = contents(folder)
    return sorted(name for name in found.keys() | whole.keys() if found.get(name) != whole.get(name))


def warm_up(root, configs):
    """Imports what a training imports."""
    known, names = set(sys.modules), root / "modules"

    def listed():
        trained(configs)
        names.write_text("\n".join(m for m in sys.modules if m not in known))
        return 0

    attempt(new_folder(root), configs, prepare=lambda: None, action=listed)
    for name in names.read_text().splitlines():
        with suppress(Exception):
            importlib.import_module(name)


def uncut(root, configs, prepare=watch):
    """Its contents, and how long it took."""
    folder, began = new_folder(root), time.monotonic()
    code, said = attempt(folder, configs, prepare=prepare)
    assert (code, said) == (0, ""), (code, said)
    return contents(folder), time.monotonic() - began


def kills(root, kind, count):
    """For each signal, chains of kills at random moments of a training, until so many have hit a live process."""
    configs = compose_each([[*COMMON, *KILLS, *job] for job in JOBS[kind]])
    warm_up(root, configs)
    whole, life = uncut(root, configs)
    return {
        "files": sorted(whole),
        **{name: chains_of(root, configs, whole, life, name, int(count)) for name in SIGNALS},
    }


def chains_of(root, configs, whole, life, name, count):
    rng = random.Random(f"{name} {len(configs)}")
    hits, chains, folder = [], [], new_folder(root)
    while len(hits) < count:
        before = resume_steps(folder)
        code, said = attempt(folder, configs, kill=getattr(signal, name), delay=rng.uniform(0, life))
        if code == 0:
            chains.append(differing(folder, whole))
            folder = new_folder(root)
        else:
            hits.append(seen(folder, code, before, said))
    code, said = attempt(folder, configs)
    chains.append([said] if code else differing(folder, whole))
    return {"hits": hits, "chains": chains}


def seen(folder, code, before, said):
    fields = {name: getattr(SHARED, name) for name in Shared.FIELDS}
    status = {r.status for r in find_runs(folder / "outputs")} if begun(folder) else set()
    ended = bool(status) and "running" not in status
    return {**fields, "code": code, "before": before, "resume": resume_steps(folder), "ended": ended, "said": said}


def writes(root, kind, every):
    """Death at each `every`-th call that changes a directory; each time the training is gone on with to its end."""
    configs = compose_each([[*COMMON, *WRITES, *job] for job in JOBS[kind]])
    warm_up(root, configs)
    whole, _ = uncut(root, configs, partial(die_at, -2))
    total, ends = int(SHARED.writes) + 1, []
    for write in range(0, total, int(every)):
        folder = new_folder(root)
        code, said = attempt(folder, configs, prepare=partial(die_at, write))
        again, more = attempt(folder, configs)
        ends.append(
            {"write": write, "codes": [code, again], "said": said + more, "differs": differing(folder, whole)}
        )
    return {"total": total, "ends": ends}


def main(what, kind, number, root):
    torch.set_num_threads(1)
    environment()  # asks git, once for all children
    print(json.dumps({"kills": kills, "writes": writes}[what](Path(root).resolve(), kind, number)))


if __name__ == "__main__":
    main(*sys.argv[1:])
