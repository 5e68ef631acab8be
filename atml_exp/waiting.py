"""Runs that another process is training: they are waited for, holding nothing that anybody else waits for."""

import time
from collections.abc import Sequence
from pathlib import Path

from atml_exp.errors import RunBusyError
from atml_exp.runs import Run
from atml_exp.sitting import Pending, Terms
from atml_exp.store.lock import Lock
from atml_exp.terminal import say

__all__ = ["refused", "say_waiting", "wait"]

POLL = 0.1
"""Seconds between looks at whether a run is free."""


def refused(busy: Sequence[Pending], terms: Terms) -> dict[str, str]:
    """Why each run isn't trained that another process trains and that shall not be waited for.

    Raises RunBusyError, of the first, where nothing is to go on without them.
    """
    errors = {p.job.id: _busy_error(p) for p in busy}
    if errors and not terms.keep_going:
        raise next(iter(errors.values()))
    return {name: f"RunBusyError: {error}" for name, error in errors.items()}


def _busy_error(pending: Pending) -> RunBusyError:
    return RunBusyError(
        f"{pending.entry.directory}: {_trainer(pending)} is training this run, and wait = false; wait for it, or "
        "stop it"
    )


def _trainer(pending: Pending) -> str:
    """Who trains a run, as far as its directory says."""
    try:
        return f"process {Run(pending.entry.directory).info['process']}"
    except (OSError, ValueError, KeyError):  # the other one has only just begun
        return "another process"


def say_waiting(busy: Sequence[Pending]) -> bool:
    """Says, once for a call, what is waited for."""
    if not busy:
        return False
    more = f", and {len(busy) - 1} more runs by others" if len(busy) > 1 else ""
    say(
        f"Waiting: run {busy[0].entry.directory.name} is being trained by {_trainer(busy[0])}{more}. Should it be "
        "stopped, this one goes on with it; Ctrl-C stops waiting, and with wait=false nobody waits.\n"
    )
    return True


def wait(busy: Sequence[Pending]) -> None:
    """Until one of the runs, if there are any, isn't held by another process."""
    while busy and all(_is_taken(p.entry.directory) for p in busy):
        time.sleep(POLL)


def _is_taken(directory: Path) -> bool:
    try:
        Lock(directory).release()
    except (RunBusyError, FileNotFoundError) as error:
        return isinstance(error, RunBusyError)
    return False
