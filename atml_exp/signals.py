"""What else than Ctrl-C stops a command: `kill`, Slurm and Kubernetes (SIGTERM), a closed terminal (SIGHUP).

All of them do what Ctrl-C does: what was reached is kept, and the same command goes on from there. Only commands
are entered here; a notebook, and the worker processes of launchers, keep what they have.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

__all__ = ["Stopped", "deferred", "stopping", "until_stopped"]

NAMES = ("SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """number: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopping() -> Iterator[None]:
    """Within it these signals raise Stopped, a KeyboardInterrupt, in the main thread.

    Does nothing in another thread, and to a signal that is ignored (under nohup) or that somebody else handles.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]  # Windows has no SIGHUP
        before = {n: signal.signal(n, _stop) for n in known if signal.getsignal(n) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Within it nothing stops the main thread: the first signal that would acts at the end.

    For a few milliseconds in code of other languages, which may take the exception for an error of its own.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        known = [getattr(signal, name) for name in ("SIGINT", *NAMES) if hasattr(signal, name)]
        before = {n: signal.getsignal(n) for n in known if callable(signal.getsignal(n))}
    try:
        for number in before:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            before[came[0]](came[0], None)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def until_stopped(action: Callable[[], int]) -> int:
    """A command's exit code: the action's, or 128 + the number of the signal that stopped it (130: Ctrl-C).

    >>> until_stopped(lambda: 0)
    0
    """
    try:
        with stopping():
            return action()
    except Stopped as stop:
        return 128 + stop.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
