"""Calls from several threads take turns.

Training needs what a process has once: torch's global generators, its default dtype and gradient mode, Hydra's
state. Two threads that trained at once would draw from each other's generators, and the numbers would be wrong.
"""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import ParamSpec, TypeVar

__all__ = ["one_at_a_time"]

P = ParamSpec("P")
T = TypeVar("T")

LOCK = RLock()
"""Of the process; one call may make another."""


def one_at_a_time(fn: Callable[P, T]) -> Callable[P, T]:
    """Of all functions so marked, one runs at a time; a call from another thread waits.

    >>> one_at_a_time(abs)(-1)
    1
    """

    @wraps(fn)
    def in_turn(*args: P.args, **kwargs: P.kwargs) -> T:
        with LOCK:
            return fn(*args, **kwargs)

    return in_turn
