"""A part of an array of an unfinished run: an .npz that says which run it is of and what comes before it."""

from pathlib import Path

import numpy as np

from atml_exp.store.files import write_atomically
from atml_exp.store.seals import seal_archive

__all__ = ["seal_chunk", "write_chunk"]


def write_chunk(path: Path, steps: np.ndarray, values: np.ndarray, *, of: str, after: int) -> None:
    """Steps (T,) and values (T, …), sealed, atomically. of: its label. after: how many records come before it."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, steps=steps, values=values)
        seal_archive(temporary, {"of": of, "after": after, "count": len(steps)})

    write_atomically(path, write)


def seal_chunk(path: Path, *, of: str, after: int, count: int) -> None:
    """Gives a chunk of so many records its seal, atomically."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(path.read_bytes())
        seal_archive(temporary, {"of": of, "after": after, "count": count})

    write_atomically(path, write)
