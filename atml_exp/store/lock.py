"""One process writes a run directory at a time; a killed one holds nothing back."""

import errno
import os
from pathlib import Path

from atml_exp.errors import RunBusyError

__all__ = ["Lock"]

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Lock:
    """A lock on a directory, held until released or until the process ends, however it ends.

    Raises RunBusyError where another process holds it. Without fcntl (Windows), and on file systems that know no
    locks, nothing is locked.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handle: int | None = None
        try:
            import fcntl
        except ImportError:
            return
        self._handle = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in TAKEN:
                raise RunBusyError(
                    f"{directory}: another process is training this run; wait for it or stop it"
                ) from error

    def is_in_place(self) -> bool:
        """Whether the directory still lies where it was: False where it was removed, renamed or exchanged."""
        try:
            found = self._directory.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if self._handle is None:
            return True
        held = os.fstat(self._handle)
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Lets go; more than once is fine."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
