"""Writes that are whole or absent."""

import json
import os
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from atml_exp.signals import deferred

__all__ = [
    "json_text",
    "write_arrays",
    "write_atomically",
    "write_json",
    "write_parts",
    "write_stacked",
    "write_text",
]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write(temporary)` beside `path`, then renamed onto it: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")  # made with the user's own permissions
    with deferred():
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, atomically."""
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Bytes end to end, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.writelines(parts)

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, atomically; numbers that aren't finite become null."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Readable JSON; numbers that aren't finite become null."""
    return json.dumps(_strict(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz of plain arrays (nothing pickled), atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_atomically(path, write)


def write_stacked(path: Path, steps: np.ndarray, parts: Iterator[np.ndarray]) -> None:
    """An .npz of `steps` (T,) and of `values` (T, …), the parts end to end, of which one at a time is in memory.

    Raises ValueError where the parts' shapes or types differ, or don't add up to T.
    """

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            with archive.open("steps.npy", "w") as file:
                np.lib.format.write_array(file, steps, allow_pickle=False)
            with archive.open("values.npy", "w", force_zip64=True) as file:
                first = next(parts)
                _write_header(file, (len(steps), *first.shape[1:]), first.dtype)
                written = sum(_write_part(file, part, first) for part in chain([first], parts))
        if written != len(steps):
            raise ValueError(f"{written} values for {len(steps)} steps")

    write_atomically(path, write)


def _write_header(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_part(file: Any, part: np.ndarray, like: np.ndarray) -> int:
    if part.shape[1:] != like.shape[1:] or part.dtype != like.dtype:
        raise ValueError(
            f"values of {part.shape[1:]}, {part.dtype} follow others of {like.shape[1:]}, {like.dtype}"
        )
    file.write(np.ascontiguousarray(part).tobytes())
    return len(part)
