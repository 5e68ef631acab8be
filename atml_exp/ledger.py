"""Which runs there are: a run is found by the content of its config."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from atml_exp.errors import DamagedRunError, RunBusyError
from atml_exp.integrity import FINISHED, damage, read_info
from atml_exp.lock import Lock

__all__ = ["FINISHED", "Entry", "look_up"]


@dataclass(frozen=True)
class Entry:
    """Where a run is or will be. finished: there is nothing left to train.

    damage: what is wrong with the directory, `<file>: <what>` for each file; such a run isn't finished, nor is it
    gone on with.
    """

    directory: Path
    attempt: int
    finished: bool
    damage: tuple[str, ...] = ()


def look_up(output_dir: str | Path, run_id: str, *, force: bool = False) -> Entry:
    """The latest attempt at a run; with `force`, where the latest has ended, a new attempt beside it.

    All files of the run are compared with what was written; a directory that another process is training is left
    alone. Nothing is changed. Raises ConfigError where a newer version of atml_exp wrote the directory.

    Attempt 1 lies in `runs/<run id>`, attempt k in `runs/<run id>-k`; any of them may have been taken away.
    """
    root = Path(output_dir) / "runs"
    attempt = _latest(root, run_id)
    directory = _directory(root, run_id, attempt)
    if problems := _damage(directory):
        return Entry(directory, attempt, False, tuple(problems))
    finished = _is_finished(directory)
    if finished and force:
        attempt, finished = attempt + 1, False
        directory = _directory(root, run_id, attempt)
        return Entry(directory, attempt, False, tuple(_damage(directory)))
    return Entry(directory, attempt, finished)


SETTLED, SETTLED_COARSE = 0.1, 3.0
"""Seconds after which a folder that changes again has another time of change; coarse: on file systems that count
whole seconds, or two, as FAT.
"""


def _latest(root: Path, run_id: str) -> int:
    """The highest number of an attempt that has begun; 1 where none has.

    A folder of 10,000 runs takes 5 ms to list, as long as 20 runs to look up. So it is listed once for all runs,
    until it changes; and each time directly after a change, which its time might not tell from a second one.
    """
    try:
        at = root.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 1
    is_settled = time.time() - at / 1e9 > (SETTLED if at % 10**9 else SETTLED_COARSE)
    later = (_later_attempts if is_settled else _later_attempts.__wrapped__)(str(root), at).get(run_id, ())
    begun = (k for k in later if (_directory(root, run_id, k) / "run.json").exists())
    return next(begun, 1)


@lru_cache(maxsize=4)
def _later_attempts(root: str, at: int) -> Mapping[str, Sequence[int]]:
    """{run id: the numbers above 1 of its directories, highest first}, when the folder was changed last at `at`."""
    found: dict[str, list[int]] = {}
    for name in os.listdir(root):
        run_id, _, number = name.rpartition("-")
        if run_id and number.isascii() and number.isdecimal() and int(number) > 1:
            found.setdefault(run_id, []).append(int(number))
    return {run_id: sorted(numbers, reverse=True) for run_id, numbers in found.items()}


def _damage(directory: Path) -> list[str]:
    """What is wrong with a directory, unless somebody is training in it: then it changes while one looks."""
    if not directory.is_dir():
        return []
    try:
        if _is_finished(directory):
            return damage(directory)
        lock = Lock(directory)
    except RunBusyError:
        return []
    try:
        return damage(directory)
    finally:
        lock.release()


def _is_finished(directory: Path) -> bool:
    try:
        return read_info(directory).get("status") in FINISHED
    except (FileNotFoundError, DamagedRunError):  # the latter is named by `damage`
        return False


def _directory(root: Path, run_id: str, attempt: int) -> Path:
    return root / (run_id if attempt == 1 else f"{run_id}-{attempt}")
