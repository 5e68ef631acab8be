"""Data that training goes on with, and that nobody may write into: whoever does is found out and named.

Torch counts what is written into a tensor in place, and reading that count costs nothing. It doesn't count what is
written past it, through numpy or `.data`: there the bytes themselves are compared.
"""

import zlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.errors import BuildError

__all__ = ["MODEL", "DataChangedError", "DataGuard", "changed", "tensors_of", "versions"]

MODEL = "the model"
"""As one that may have written into the data; others are called `probe NAME`."""

BLOCK = 2**24
"""Bytes that are read at once, and on their way from an accelerator held twice."""


class DataChangedError(BuildError):
    """A probe or a model changed the data that training goes on with: the run can't be trusted any more."""


class DataGuard:
    """Remembers the bytes of datasets by their CRC-32, and who was near them since they were last compared.

    It differs for any two contents that differ within 32 consecutive bits, and for others but for one in 2³².
    To compare takes one pass over the data: 50 ms for MNIST (220 MB) on one core, where loss and error of a
    perceptron of width 100 take 200 ms. So they are compared where it counts, not at each measurement: before a
    checkpoint, at the end of a training, and when a probe has been measured for the first time, which names it.
    """

    def __init__(self, data: Sequence[Dataset]) -> None:
        self._tensors = list({id(t): t for each in data for t in tensors_of(each)}.values())
        self._before = list(map(_checksum, self._tensors))
        self._compared_at = 0
        self._near: dict[str, None] = {}
        self._known: set[str] = set()

    def will_measure(self, names: Sequence[str], step: int) -> None:
        """Before measuring: compares where one of these is new, so that it isn't blamed for what others did."""
        if not self._known.issuperset(names):
            self.compare(step)

    def was_near(self, name: str, who: str, step: int) -> None:
        """After a probe has been given the data; compares where that was the first time. who: whom to blame."""
        self._near[who] = None
        if name not in self._known:
            self._known.add(name)
            self.compare(step)

    def trained(self) -> None:
        """After a step of training, in which the model may be given the whole training set."""
        self._near[MODEL] = None

    def compare(self, step: int) -> None:
        """DataChangedError, with all who were near since the last time, where the bytes aren't what they were."""
        if list(map(_checksum, self._tensors)) != self._before:
            raise changed(list(self._near) or [MODEL], "through numpy or .data", self._compared_at, step)
        self._compared_at = step
        self._near.clear()


def changed(who: Sequence[str], how: str, first: int, last: int) -> DataChangedError:
    """who: wrote into the data, or one of them did. first, last: the steps between which it was."""
    one = who[0] if len(who) == 1 else f"one of {', '.join(who)}"
    when = f"at step {last}" if first == last or len(who) == 1 else f"between steps {first} and {last}"
    return DataChangedError(f"{one} wrote into the data {how}, {when}: it must work on a copy")


def tensors_of(data: Dataset) -> list[Tensor]:
    """All that a dataset holds."""
    splits = (data.train, data.test)
    found = [t for s in splits for t in (s.x, s.y, s.group, s.weight)]
    return [t for t in (*found, data.clean_labels) if t is not None]


def versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each has been written into in place, as torch counts."""
    return [t._version for t in tensors]


def _checksum(tensor: Tensor) -> int:
    """Of its bytes in the order of its elements."""
    checksum = 0
    for block in _blocks(tensor.detach()):
        checksum = zlib.crc32(block.cpu().contiguous().view(-1).view(torch.uint8).numpy().data, checksum)
    return checksum


def _blocks(tensor: Tensor) -> Iterator[Tensor]:
    if tensor.is_contiguous():
        tensor = tensor.view(-1)
    each = tensor.element_size() * max(tensor[:1].numel(), 1)
    return iter(tensor.split(max(BLOCK // each, 1)))
