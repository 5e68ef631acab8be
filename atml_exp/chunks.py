"""A part of an array of an unfinished run: an .npz that says which run it is of and what comes before it."""

import io
from pathlib import Path

import numpy as np

from atml_exp.files import write_atomically
from atml_exp.seals import sealed_archive

__all__ = ["seal_chunk", "write_chunk"]


def write_chunk(path: Path, steps: np.ndarray, values: np.ndarray, *, of: str, after: int) -> None:
    """Steps (T,) and values (T, …), sealed, atomically. of: its label. after: how many records come before it."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, steps=steps, values=values)
    seal_chunk(path, data.getvalue(), of=of, after=after, count=len(steps))


def seal_chunk(path: Path, data: bytes, *, of: str, after: int, count: int) -> None:
    """Writes an .npz of so many records with its seal."""
    sealed = sealed_archive(data, {"of": of, "after": after, "count": count})
    write_atomically(path, lambda p: p.write_bytes(sealed))
