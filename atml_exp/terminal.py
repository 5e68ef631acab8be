"""What is said to the user beside results and progress, and what becomes of it where it can't be written."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

__all__ = ["Outlet", "printing", "reader_has_gone", "say"]


def say(text: str) -> None:
    """On standard error; nothing where the terminal was closed."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)


class Outlet(io.RawIOBase):
    """The bytes of another stream, which may end: what can't be written any more is let be, so that no training
    ends with the pipe or the disk that its table would go to.

    error: the first that writing came to, or None.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int | None:
        """How many bytes were written; all of them where they were let be."""
        try:
            written: int | None = self._stream.write(data)
        except BlockingIOError:  # of a stream that is to be asked again
            raise
        except OSError as error:
            self.error = self.error or error
            return len(data)
        return written

    def fileno(self) -> int:
        """Of the other stream."""
        return int(self._stream.fileno())

    def isatty(self) -> bool:
        """Whether the other stream is a terminal."""
        return bool(self._stream.isatty())

    def writable(self) -> bool:
        """It is for nothing else."""
        return True


@contextmanager
def printing() -> Iterator[Outlet | None]:
    """Within it, standard output and error take any letter and outlive what they lead to.

    A letter that the terminal's encoding hasn't (`σ` in ASCII) is written as `\\u03c3`; a stream that was closed
    before the process began leads nowhere. Streams that somebody else has put in place, a notebook or a test, are
    left alone. Gives the outlet of standard output, which knows what became of it, or None.
    """
    before = sys.stdout, sys.stderr
    outlet, sys.stdout = _lasting(sys.stdout, sys.__stdout__)
    _, sys.stderr = _lasting(sys.stderr, sys.__stderr__)
    try:
        yield outlet
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: TextIO | None, original: TextIO | None) -> tuple[Outlet | None, TextIO]:
    """What is to stand for a stream of the process."""
    if stream is None:
        return None, open(os.devnull, "w", encoding="utf-8")  # open as long as the process runs
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return None, stream
    with suppress(OSError):
        stream.flush()
    outlet = Outlet(getattr(stream.buffer, "raw", stream.buffer))
    options: dict[str, Any] = {"encoding": stream.encoding, "errors": "backslashreplace"}
    options |= {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return outlet, io.TextIOWrapper(io.BufferedWriter(outlet), **options)


def reader_has_gone(error: OSError) -> bool:
    """Whether a pipe's other end was closed, as `| head` does once it has seen enough; or a terminal."""
    return isinstance(error, BrokenPipeError) or error.errno in (errno.EPIPE, errno.EIO)
