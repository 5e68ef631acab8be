"""What a user can put right: shown as one message, without a traceback."""

import os
import traceback
from pathlib import Path
from typing import Self

__all__ = [
    "SAID",
    "BuildError",
    "ConfigError",
    "DamagedRunError",
    "DiskError",
    "OpenFilesError",
    "OutOfMemoryError",
    "RunBusyError",
    "TakenAwayError",
    "exit_code",
]


class _Said(Exception):
    """In a notebook too the message is all that is shown; HYDRA_FULL_ERROR=1 shows tracebacks."""

    def _render_traceback_(self, *_: object) -> list[str]:
        """The lines that IPython prints of an error that nobody catches."""
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            return traceback.format_exception(self)
        return [f"{type(self).__name__}: {self}"]


class ConfigError(_Said, ValueError):
    """A configuration that can't run; the message names the key, the value and what is allowed."""


class DamagedRunError(ConfigError):
    """A file of a run directory that isn't what was written into it: nothing of it is used."""

    path: Path
    what: str

    @classmethod
    def of(cls, path: Path, what: str) -> Self:
        """The error of a file, with what to do. what: `is missing`, `has 0 bytes instead of 4812`, …"""
        error = cls(
            f"{path} is damaged: it {what}; put a copy of it back, or ask for the run by the command that made it, "
            "which moves its directory to quarantine and then trains it again"
        )
        error.path, error.what = path, what
        return error


class RunBusyError(_Said, RuntimeError):
    """Another process is training this very run."""


class DiskError(_Said, RuntimeError):
    """The output folder's disk is full, or can't be written any more; what was saved stands and is gone on with."""


class TakenAwayError(DiskError):
    """A run's directory was removed or renamed while the run was trained; nothing is written in its place."""

    directory: Path

    @classmethod
    def of(cls, directory: Path) -> Self:
        error = cls(
            f"{directory}: has been taken away (removed, emptied or renamed) while its run was being trained: "
            "nothing is written in its place. The same command trains the run again; with the directory back where "
            "it was, it goes on from the last checkpoint there"
        )
        error.directory = directory
        return error


class OpenFilesError(_Said, RuntimeError):
    """More files would have to be open at once than the process, or the machine, allows."""


class OutOfMemoryError(_Said, RuntimeError):
    """A single run doesn't fit in memory."""


class BuildError(_Said, RuntimeError):
    """Code that a config names failed when it was called, for a reason that its values can't be blamed for."""


SAID = (ConfigError, RunBusyError, DiskError, OpenFilesError, OutOfMemoryError, BuildError)
"""All of them: their message is all that a command says."""


def exit_code(error: BaseException) -> int:
    """2: what a config or a second command can be blamed for, and nothing was trained. 1: the machine gave out, or
    code that a config names.

    >>> exit_code(ConfigError()), exit_code(DiskError())
    (2, 1)
    """
    return 2 if isinstance(error, ConfigError | RunBusyError) else 1
