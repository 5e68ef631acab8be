"""Damaged run directories are moved out of the way, whole, so that their runs can be trained again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.files import write_text
from atml_exp.ledger import Entry
from atml_exp.lock import Lock

__all__ = ["NOTE", "quarantine_damaged"]

NOTE = "damaged.txt"
"""In a directory in quarantine: what was wrong with it, and when."""


def quarantine_damaged(entries: Iterable[Entry]) -> None:
    """Moves the directories of damaged runs to `<output_dir>/quarantine/`, and says so in one DamagedRunError.

    Does nothing where no run is damaged. Nothing is deleted or written over. Raises RunBusyError where another
    process has begun to train one of the runs, and ConfigError where a directory can't be moved.
    """
    damaged = {entry.directory: entry.damage for entry in entries if entry.damage}
    if not damaged:
        return
    lines = []
    for directory, problems in damaged.items():
        moved = _set_aside(directory, problems)
        lines += [f"{directory} (now {moved})", *(f"  {problem}" for problem in problems)]
    runs = "A run is" if len(damaged) == 1 else f"{len(damaged)} runs are"
    them = "it" if len(damaged) == 1 else "them"
    raise DamagedRunError(
        "\n".join([f"{runs} damaged, and moved to quarantine; the same command now trains {them} again:", *lines])
    )


def _set_aside(directory: Path, problems: Iterable[str]) -> Path:
    lock = Lock(directory)
    try:
        target = _free_name(directory.parent.parent / "quarantine", directory.name)
        target.parent.mkdir(exist_ok=True)
        directory.rename(target)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(_free_name(target, NOTE), "\n".join([f"Found damaged at {now}, in {directory}:", *problems, ""]))
    except OSError as error:
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
