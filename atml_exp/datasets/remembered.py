"""What scikit-learn gives, kept on disk: to import it takes longer than many a training."""

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from atml_exp.store.files import write_arrays

__all__ = ["remembered"]


def remembered(
    name: str, make: Callable[[], Mapping[str, np.ndarray]], *inputs: np.ndarray | float | str | bool
) -> dict[str, np.ndarray]:
    """`make()`, or what it gave when it was last asked with these inputs under the same scikit-learn.

    Kept in $XDG_CACHE_HOME/atml_exp, by default ~/.cache/atml_exp, which can be deleted at any time; where it can't
    be read or written, or is damaged, `make()` is called. inputs: all that the answer depends on.
    """
    path = _folder() / f"{name}-{_digest(inputs)}.npz"
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        found = dict(make())
    with suppress(OSError):
        write_arrays(path, found)
    return found


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atml_exp"


def _digest(inputs: tuple[np.ndarray | float | str | bool, ...]) -> str:
    digest = hashlib.sha256(f"scikit-learn {version('scikit-learn')}".encode())
    for value in inputs:
        array = np.asarray(value)
        digest.update(f"|{array.dtype}{array.shape}|".encode() + array.tobytes())
    return digest.hexdigest()[:16]
