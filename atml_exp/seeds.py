"""Every random draw comes from a generator whose seed is derived from the replica's own seed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["derive", "generator", "seeded_globally"]


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, independent between purposes: derive(0, "order", epoch)."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose: the same draws on every device."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def seeded_globally(seed: int, *purpose: str | int) -> Iterator[None]:
    """torch's global generators seeded for one purpose, and put back after: for code that knows only those."""
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, *purpose))
        yield
