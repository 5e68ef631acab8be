"""Which runs there are: a run is found by the content of its config."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atml_exp.errors import ConfigError, DamagedRunError, RunBusyError
from atml_exp.open_files import is_too_many_open, too_many_open
from atml_exp.store.damage import damage
from atml_exp.store.integrity import FINISHED, read_info
from atml_exp.store.lock import Lock

__all__ = ["FINISHED", "Entry", "later_attempts", "look_up"]


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


Later = Mapping[str, Sequence[int]]
"""{run id: the numbers above 1 of the directories of its attempts, highest first}."""


def look_up(output_dir: str | Path, run_id: str, *, force: bool = False, later: Later | None = None) -> Entry:
    """The latest attempt at a run; with `force`, where the latest has ended, a new attempt beside it.

    All files of the run are compared with what was written; a directory that another process is training is left
    alone. Nothing is changed. Raises ConfigError where a newer version of atml_exp wrote the directory.

    Attempt 1 lies in `runs/<run id>`, attempt k in `runs/<run id>-k`; any of them may have been taken away. later:
    what `later_attempts` has just said of the folder, for who looks up many runs; else it is asked here.
    """
    root = Path(output_dir) / "runs"
    numbers = (later_attempts(output_dir) if later is None else later).get(run_id, ())
    attempt = next((k for k in numbers if (_directory(root, run_id, k) / "run.json").exists()), 1)
    directory = _directory(root, run_id, attempt)
    if problems := _damage(directory):
        return Entry(directory, attempt, False, tuple(problems))
    finished = _is_finished(directory)
    if finished and force:
        attempt, finished = attempt + 1, False
        directory = _directory(root, run_id, attempt)
        return Entry(directory, attempt, False, tuple(_damage(directory)))
    return Entry(directory, attempt, finished)


def later_attempts(output_dir: str | Path) -> Later:
    """Which runs have directories of further attempts than the first; whether those have begun isn't looked at.

    A folder of 10,000 runs takes 5 ms to list, as long as 20 runs to look up. ConfigError where it can't be listed.
    """
    folder, found = Path(output_dir) / "runs", dict[str, list[int]]()
    for name in _names(folder):
        run_id, _, number = name.rpartition("-")
        if run_id and number.isascii() and number.isdecimal() and int(number) > 1:
            found.setdefault(run_id, []).append(int(number))
    return {run_id: sorted(numbers, reverse=True) for run_id, numbers in found.items()}


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if is_too_many_open(error):
            raise too_many_open(error) from error
        raise ConfigError(f"output_dir = {folder.parent}: {error}; allowed: a folder that can be listed") from error


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
