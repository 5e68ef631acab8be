"""What the generated datasets and the wrappers share: named streams of random numbers, balanced labels."""

import zlib

import numpy as np
import torch
from torch import Generator, Tensor

__all__ = ["balanced_labels", "stream", "uniform"]


def stream(seed: int, purpose: str) -> Generator:
    """A generator (CPU) for one purpose under one seed.

    Each purpose has a stream of its own: a larger training split leaves the test split as it was, and two
    wrappers under one seed draw independently.

    >>> draw = lambda purpose: torch.rand((), generator=stream(0, purpose))
    >>> bool(draw("train") == draw("train")), bool(draw("train") == draw("test"))
    (True, False)
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def balanced_labels(num_examples: int, num_classes: int) -> Tensor:
    """Classes in turn, (N,) int64: their counts differ by at most one.

    >>> balanced_labels(5, 2)
    tensor([0, 1, 0, 1, 0])
    """
    return torch.arange(num_examples) % num_classes


def uniform(low: float, high: float, size: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform on [low, high), float64."""
    return low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)
