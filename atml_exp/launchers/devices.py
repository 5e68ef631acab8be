"""Several GPUs in one machine: each population has one to itself, whichever process trains it."""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

__all__ = ["claimed", "own_device"]

_POLL = 0.2


@contextmanager
def own_device(device: str) -> Iterator[None]:
    """Within it, `cuda` is a GPU that no other process of ours has claimed; waits until one is free.

    device: of the config. Does nothing where it isn't `auto` or `cuda`, or where there is one GPU or none: Slurm
    and Ray show each worker its own.
    """
    count = torch.cuda.device_count()
    if count < 2 or device not in ("auto", "cuda"):
        yield
        return
    with claimed(_names(count)) as number, torch.cuda.device(number):
        yield


@contextmanager
def claimed(names: Sequence[str], folder: Path | None = None) -> Iterator[int]:
    """The index of the first device that nobody holds, held until the block is left or the process ends.

    names: of the devices, on this machine. folder: of the lock files, the same for all who share the devices.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"atml_exp-devices-{getpass.getuser()}"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        while (number := _first_free(names, folder, held)) is None:
            time.sleep(_POLL)
        yield number


def _first_free(names: Sequence[str], folder: Path, held: ExitStack) -> int | None:
    for number, name in enumerate(names):
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        if _lock(handle):
            held.callback(os.close, handle)
            return number
        os.close(handle)
    return None


def _lock(handle: int) -> bool:
    """Whether the file is now ours. Without fcntl (Windows) it always is."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _names(count: int) -> list[str]:
    """Those in CUDA_VISIBLE_DEVICES, so that processes that see different devices agree on which is which."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    names = visible if len(visible) == count else [str(k) for k in range(count)]
    return [name.replace("/", "_") for name in names]
