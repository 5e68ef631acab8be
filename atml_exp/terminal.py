"""What is said to the user beside results and progress."""

import sys
from contextlib import suppress

__all__ = ["say"]


def say(text: str) -> None:
    """On standard error; nothing where the terminal was closed."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
