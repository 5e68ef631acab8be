"""Mini-batches as index tensors: the order of an epoch is a pure function of (seed, epoch)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atml_exp.data import Split
from atml_exp.seeds import generator

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """x (B, …), y (B,) for one replica or shared by all; (R, B, …), (R, B) where stacked."""

    x: Tensor
    y: Tensor
    x_stacked: bool = False
    y_stacked: bool = False


class Batches:
    """`batches(step)` → the mini-batch of that step, for R replicas with seeds and training sets of their own.

    Each epoch is a fresh random order without replacement; its last incomplete batch is dropped. batch_size None
    gives the whole training set, in its own order, at each step. Any step can be asked for, in any order: a
    resumed run sees the batches that it would have seen.
    """

    def __init__(self, splits: Sequence[Split], seeds: Sequence[int], batch_size: int | None) -> None:
        if len({len(s) for s in splits}) > 1:
            raise ValueError(f"replicas need training sets of one size, not {sorted({len(s) for s in splits})}")
        self._seeds = seeds
        self._num_examples = len(splits[0])
        self._batch_size = batch_size
        self._x, self._x_own = _shared_or_stacked([s.x for s in splits])
        self._y, self._y_own = _shared_or_stacked([s.y for s in splits])
        self._epoch = -1
        self._order = torch.empty(0)
        if batch_size is not None and not 0 < batch_size <= self._num_examples:
            raise ValueError(f"batch_size = {batch_size}: must be between 1 and {self._num_examples} examples")

    @property
    def steps_per_epoch(self) -> int:
        return 1 if self._batch_size is None else self._num_examples // self._batch_size

    def __call__(self, step: int) -> Batch:
        if self._batch_size is None:
            return Batch(self._x, self._y, self._x_own, self._y_own)
        epoch, k = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = self._epoch_order(epoch)
            self._epoch = epoch
        stacked = len(self._seeds) > 1
        index = self._order[k]
        return Batch(
            self._gather(self._x, self._x_own, index), self._gather(self._y, self._y_own, index), stacked, stacked
        )

    def _epoch_order(self, epoch: int) -> Tensor:
        """(steps per epoch, B), or (steps per epoch, R, B) for R > 1, on the data's device."""
        used = self.steps_per_epoch * self._batch_size  # type: ignore[operator]
        orders = [
            torch.randperm(self._num_examples, generator=generator(s, "order", epoch))[:used] for s in self._seeds
        ]
        rows = torch.stack(orders).view(len(orders), self.steps_per_epoch, -1).transpose(0, 1)
        return (rows if len(orders) > 1 else rows[:, 0]).contiguous().to(self._x.device)

    def _gather(self, data: Tensor, own: bool, index: Tensor) -> Tensor:
        if index.dim() == 1:
            return data.index_select(0, index)
        if own:
            offsets = torch.arange(len(index), device=index.device)[:, None] * self._num_examples
            index, data = index + offsets, data.flatten(0, 1)
        return data.index_select(0, index.reshape(-1)).view(*index.shape, *data.shape[1:])


def _shared_or_stacked(tensors: Sequence[Tensor]) -> tuple[Tensor, bool]:
    """One tensor where all replicas hold the same object, else a stack of them."""
    if all(t is tensors[0] for t in tensors):
        return tensors[0], False
    return torch.stack(list(tensors)), True
