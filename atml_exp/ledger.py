"""Which runs there are: a run is found by the content of its config."""

from dataclasses import dataclass
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

    Attempt 1 lies in `runs/<run id>`, attempt k in `runs/<run id>-k`.
    """
    root = Path(output_dir) / "runs"
    attempt = 1
    while (_directory(root, run_id, attempt + 1) / "run.json").exists():
        attempt += 1
    directory = _directory(root, run_id, attempt)
    if problems := _damage(directory):
        return Entry(directory, attempt, False, tuple(problems))
    finished = _is_finished(directory)
    if finished and force:
        attempt, finished = attempt + 1, False
        directory = _directory(root, run_id, attempt)
        return Entry(directory, attempt, False, tuple(_damage(directory)))
    return Entry(directory, attempt, finished)


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
