"""Where every command of ours is entered, so that none of them ends in a traceback for the terminal's sake."""

import errno
import os
import sys
from collections.abc import Callable

from atml_exp.signals import until_stopped
from atml_exp.terminal import printing, reader_has_gone, say

__all__ = ["enter"]

OF_A_PATH = {
    getattr(errno, name)
    for name in ("ENAMETOOLONG", "ENOENT", "ENOTDIR", "EISDIR", "EEXIST", "EACCES", "EPERM", "ELOOP", "EINVAL")
}
"""Errors that whoever named a file can put right."""


def enter(name: str, action: Callable[[], int]) -> int:
    """A command's exit code: the action's, or 128 + the number of the signal that stopped it.

    name: of the command, for messages. 2 where the working directory is gone, or a file that
    was named can't be had; HYDRA_FULL_ERROR=1 shows the traceback. Whoever closes the pipe that is
    printed to has seen enough: the action goes on, and its code stands. Where what is printed can't be written for
    another reason, a full disk, one message says so, and the process ends with 1 once the action has.

    >>> enter("atml-exp", lambda: 0)
    0
    """
    with printing() as outlet:
        try:
            return until_stopped(lambda: _checked(name, action))
        finally:
            sys.stdout.flush()
            if outlet is not None and outlet.error is not None and not reader_has_gone(outlet.error):
                say(f"{name}: what was to be printed can't be written: {outlet.error.strerror}\n")
                raise SystemExit(1)


def _checked(name: str, action: Callable[[], int]) -> int:
    try:
        os.getcwd()
    except OSError as error:
        say(f"{name}: the working directory can't be had: {error.strerror}; to go on: cd to one that is there\n")
        return 2
    try:
        return action()
    except ImportError as error:  # of a library that is broken, or finds no memory; our users' are said elsewhere
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        say(f"{name}: a library can't be loaded: {error} (HYDRA_FULL_ERROR=1 shows where)\n")
        return 1
    except OSError as error:
        if error.filename is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        say(f"{name}: {error.filename}: {error.strerror}\n")
        return 2 if error.errno in OF_A_PATH else 1
