"""Damaged run directories are moved out of the way, whole, so that their runs can be trained again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.open_files import is_too_many_open, too_many_open
from atml_exp.store.files import write_text
from atml_exp.store.ledger import Entry, look_up
from atml_exp.store.lock import Lock

__all__ = ["NOTE", "quarantine_damaged"]

NOTE = "damaged.txt"
"""In a directory in quarantine: what was wrong with it, and when."""


def quarantine_damaged(entries: Iterable[Entry]) -> None:
    """Moves the directories of damaged runs to `<output_dir>/quarantine/`, and says so in one DamagedRunError.

    Does nothing where no run is damaged. Nothing is deleted or written over. Raises RunBusyError where another
    process has begun to train one of the runs, and ConfigError where a directory can't be moved.
    """
    damaged = {entry.directory: entry for entry in entries if entry.damage}
    if not damaged:
        return
    moved = {directory: _set_aside(directory, entry.damage) for directory, entry in damaged.items()}
    earlier = {directory: _earlier(entry) for directory, entry in damaged.items()}
    runs = "A run is" if len(damaged) == 1 else f"{len(damaged)} runs are"
    them = "it" if len(damaged) == 1 else "them"
    again = "" if any(earlier.values()) else f"; the same command now trains {them} again"
    lines = [f"{runs} damaged, and moved to quarantine{again}:"]
    for directory, entry in damaged.items():
        lines += [f"{directory} (now {moved[directory]})", *(f"  {problem}" for problem in entry.damage)]
        lines += [] if again else [f"  {earlier[directory] or 'the same command now trains it again'}"]
    raise DamagedRunError("\n".join(lines))


def _earlier(entry: Entry) -> str:
    """What the same command does now where an attempt before the damaged one is there; else it trains the run."""
    earlier = look_up(entry.directory.parents[1], entry.directory.name.removesuffix(f"-{entry.attempt}"))
    if not earlier.directory.exists():
        return ""
    if earlier.damage:
        then = "is damaged too, and moved when the run is asked for again"
    elif earlier.finished:
        then = "has ended: the same command now returns it; with force=true it trains a new attempt"
    else:
        then = "was cut off: the same command now goes on with it"
    return f"attempt {earlier.attempt}, {earlier.directory}, {then}"


def _set_aside(directory: Path, problems: Iterable[str]) -> Path:
    lock = Lock(directory)
    try:
        target = _free_name(directory.parent.parent / "quarantine", directory.name)
        target.parent.mkdir(exist_ok=True)
        directory.rename(target)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(_free_name(target, NOTE), "\n".join([f"Found damaged at {now}, in {directory}:", *problems, ""]))
    except OSError as error:
        if is_too_many_open(error):
            raise too_many_open(error) from error
        raise ConfigError(
            f"{directory} is damaged ({'; '.join(problems)}), and can't be moved to quarantine: {error}"
        ) from error
    finally:
        lock.release()
    return target


def _free_name(folder: Path, name: str) -> Path:
    """The name, or with the first number that is free."""
    names = (folder / (name if k == 1 else f"{name}-{k}") for k in count(1))
    return next(path for path in names if not path.exists())
