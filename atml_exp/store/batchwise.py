"""A function of a batch over very many items, in several processes where that pays. Needs no torch."""

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["BATCH", "MANY", "batchwise"]

BATCH = 1024
"""Items that are handed over at once."""
MANY = 4096
"""Items from which other processes pay: they take a second to start, as long as some 3,000 runs take to read."""
PROCESSES = 8
"""No more than these: what they hand back is put together by one."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def batchwise(function: Callable[[Sequence[_T]], _R], items: Sequence[_T]) -> list[_R]:
    """What the function gives of each batch, in order.

    From MANY items on it runs in other processes, one for each core; function, items and what comes back are then
    pickled. A script needs no `if __name__ == "__main__":` for it: joblib's processes don't import the main module.

    >>> batchwise(sum, range(2048))
    [523776, 1572352]
    """
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    if len(items) < MANY:
        return [function(batch) for batch in batches]
    from joblib import Parallel, cpu_count, delayed  # type: ignore[import-untyped]

    workers = Parallel(min(PROCESSES, cpu_count()), prefer="processes", max_nbytes=None)
    return list(workers(delayed(function)(batch) for batch in batches))
