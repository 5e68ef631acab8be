"""Mini-batches as index tensors: the order of an epoch is a pure function of (seed, epoch)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from atml_exp.data import Split
from atml_exp.label_noise import noisy_labels
from atml_exp.schedule import num_steps
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

    Each epoch is a fresh random order without replacement; its last incomplete batch is dropped. With replacement
    each example of each batch is drawn from all, so that batches are independent of one another. batch_size None
    gives the whole training set, in its own order, at each step. Any step can be asked for, in any order: a
    resumed run sees the batches that it would have seen.

    label_noise: how strongly labels are changed anew at each step, see `atml_exp.label_noise.noisy_labels`.
    random_labels: during the first steps (`500it`, `20ep`) the labels are in a random order that stays the same.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        seeds: Sequence[int],
        batch_size: int | None,
        *,
        replacement: bool = False,
        label_noise: float = 0.0,
        random_labels: int | str = 0,
    ) -> None:
        if len({len(s) for s in splits}) > 1:
            raise ValueError(f"replicas need training sets of one size, not {sorted({len(s) for s in splits})}")
        self._seeds = seeds
        self._num_examples = len(splits[0])
        self._batch_size = batch_size
        self._replacement, self._label_noise = replacement, label_noise
        self._splits = splits
        self._x, self._x_own = _shared_or_stacked([s.x for s in splits])
        self._y, self._y_own = _shared_or_stacked([s.y for s in splits])
        self._permuted = _shared_or_stacked(list(map(_permuted, splits, seeds))) if random_labels else None
        self._epoch = -1
        self._order = torch.empty(0)
        if batch_size is not None and not 0 < batch_size <= self._num_examples:
            raise ValueError(f"batch_size = {batch_size}: must be between 1 and {self._num_examples} examples")
        if replacement and batch_size is None:
            raise ValueError("replacement = True: the whole training set is taken as it is; give a batch_size")
        self.num_random = num_steps(random_labels, self.steps_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        return 1 if self._batch_size is None else self._num_examples // self._batch_size

    def __call__(self, step: int) -> Batch:
        batch = self._clean(step)
        return batch if self._label_noise == 0 else self._with_label_noise(batch, step)

    def _with_label_noise(self, batch: Batch, step: int) -> Batch:
        """With labels of its own for each replica."""
        rows = batch.y if batch.y_stacked else [batch.y] * len(self._seeds)
        noisy = [
            noisy_labels(y, self._label_noise, split.y, generator(seed, "label_noise", step))
            for y, split, seed in zip(rows, self._splits, self._seeds, strict=True)
        ]
        stacked = len(noisy) > 1
        return replace(batch, y=torch.stack(noisy) if stacked else noisy[0], y_stacked=stacked)

    def _clean(self, step: int) -> Batch:
        y, own = self._permuted if self._permuted and step < self.num_random else (self._y, self._y_own)
        if self._batch_size is None:
            return Batch(self._x, y, self._x_own, own)
        epoch, k = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = self._epoch_order(epoch)
            self._epoch = epoch
        stacked = len(self._seeds) > 1
        index = self._order[k]
        return Batch(self._gather(self._x, self._x_own, index), self._gather(y, own, index), stacked, stacked)

    def _epoch_order(self, epoch: int) -> Tensor:
        """(steps per epoch, B), or (steps per epoch, R, B) for R > 1, on the data's device."""
        used = self.steps_per_epoch * self._batch_size  # type: ignore[operator]
        orders = [self._drawn(generator(s, "order", epoch))[:used] for s in self._seeds]
        rows = torch.stack(orders).view(len(orders), self.steps_per_epoch, -1).transpose(0, 1)
        return (rows if len(orders) > 1 else rows[:, 0]).contiguous().to(self._x.device)

    def _drawn(self, draw: torch.Generator) -> Tensor:
        if self._replacement:
            return torch.randint(self._num_examples, (self._num_examples,), generator=draw)
        return torch.randperm(self._num_examples, generator=draw)

    def _gather(self, data: Tensor, own: bool, index: Tensor) -> Tensor:
        if index.dim() == 1:
            return data.index_select(0, index)
        if own:
            offsets = torch.arange(len(index), device=index.device)[:, None] * self._num_examples
            index, data = index + offsets, data.flatten(0, 1)
        return data.index_select(0, index.reshape(-1)).view(*index.shape, *data.shape[1:])


def _permuted(split: Split, seed: int) -> Tensor:
    order = torch.randperm(len(split), generator=generator(seed, "random_labels"))
    return split.y[order.to(split.y.device)]


def _shared_or_stacked(tensors: Sequence[Tensor]) -> tuple[Tensor, bool]:
    """One tensor where all replicas hold the same object, else a stack of them."""
    if all(t is tensors[0] for t in tensors):
        return tensors[0], False
    return torch.stack(list(tensors)), True
