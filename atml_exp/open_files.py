"""How many files this process may have open at once, and whether an error says that they were too few."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atml_exp.errors import OpenFilesError

__all__ = ["is_too_many_open", "open_files_said", "room_for", "too_many_open"]

RESERVE = 64
"""Files that are opened beside those of a population: what is written at the moment, fonts of a report, drivers of
a GPU. A single run on a CPU was seen to open 9. Chosen by us."""

CODES = (errno.EMFILE, errno.ENFILE)


def room_for(wanted: int, each: int) -> int:
    """How many of `wanted`, each of which keeps so many files open, can be open at once; 1 at the least.

    Where the soft limit (`ulimit -n`) is lower than that takes, it is raised as far as needed and as the hard one
    allows. Where a platform has no such limit, or doesn't say what is open, all are said to fit.
    """
    now = _num_open()
    if now is None:
        return wanted
    limit = _raised(now + RESERVE + wanted * each)
    return wanted if limit is None else max(1, min(wanted, (limit - now - RESERVE) // each))


def is_too_many_open(error: BaseException) -> bool:
    """Whether an error says that this process, or the machine, has too many files open."""
    return isinstance(error, OpenFilesError) or (isinstance(error, OSError) and error.errno in CODES)


@contextmanager
def open_files_said() -> Iterator[None]:
    """Within it, such an error is an OpenFilesError with all that a user needs."""
    try:
        yield
    except OSError as error:
        if is_too_many_open(error):
            raise too_many_open(error) from error
        raise


def too_many_open(error: OSError) -> OpenFilesError:
    """The message of such an error: whose limit it is, and what helps."""
    more = "Nothing that was saved is lost: the same command goes on"
    if error.errno == errno.ENFILE:
        return OpenFilesError(f"too many files are open on this machine, by all of its programs together. {more}")
    limit = _raised(0)
    allowed = "" if limit is None else f" allows {limit:,} at once, and"
    return OpenFilesError(
        f"too many files are open: the limit of this process (ulimit -n){allowed} is too low for a run by itself; "
        f"`ulimit -n {4 * (limit or 1024)}` in the same shell raises it. {more}"
    )


def _num_open() -> int | None:
    """How many descriptors this process has; None where nobody says."""
    with suppress(OSError):
        return len(os.listdir(Path("/dev/fd")))
    return None


def _raised(needed: int) -> int | None:
    """The soft limit, where it is lower raised to `needed` or as near as the hard one allows; None without one."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    aim = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if aim <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
    except (OSError, ValueError):  # macOS allows less than its hard limit says
        return soft
    return aim
