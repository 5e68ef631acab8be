"""What code that is checked does wrong, in one sentence with its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atml_exp.errors import SAID

__all__ = ["breaches_of", "name_of", "require", "trying"]


@contextmanager
def breaches_of(name: str) -> Iterator[None]:
    """Within it, the sentence of an AssertionError begins with a name."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error.__cause__


@contextmanager
def trying(what: str, allowed: str) -> Iterator[None]:
    """Within it, any exception of the code that is tried is the cause of an AssertionError that says so. A sentence
    that is one already stays as it is.
    """
    try:
        yield
    except SAID:
        raise
    except Exception as error:
        if isinstance(error, AssertionError) and str(error):
            raise
        first = (str(error).splitlines() or [""])[0][:300]
        raise AssertionError(f"{what} failed: {type(error).__name__}: {first}; allowed: {allowed}") from error


def require(holds: bool, message: str) -> None:
    """AssertionError with the message where something doesn't hold."""
    if not holds:
        raise AssertionError(message)


def name_of(code: Any) -> str:
    """Of a function, class or object, also behind options: `partial(f, …)` is f.

    >>> from functools import partial
    >>> name_of(partial(print, end="")), name_of(3)
    ('print', 'int')
    """
    inner = getattr(code, "func", code)
    return str(getattr(inner, "__name__", type(inner).__name__))
