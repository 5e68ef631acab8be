"""Mini-batches as index tensors: the order of an epoch is a pure function of (seed, epoch)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from atml_exp.data import Split
from atml_exp.data_guard import MODEL, changed, versions
from atml_exp.label_noise import noisy_labels
from atml_exp.schedule import num_steps
from atml_exp.seeds import generator

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """x (B, …), y (B,) for one replica or shared by all; (R, B, …), (R, B) where stacked.

    sizes: where the replicas' batches differ in size, (number of replicas, size) for each run of equal ones; B is
    then the largest size, and what fills the shorter rows doesn't count. Empty: all are of size B.
    """

    x: Tensor
    y: Tensor
    x_stacked: bool = False
    y_stacked: bool = False
    sizes: tuple[tuple[int, int], ...] = ()


class Batches:
    """`batches(step)` → the mini-batch of that step, for R replicas with seeds and training sets of their own.

    Each epoch is a fresh random order without replacement; its last incomplete batch is dropped. With replacement
    each example of each batch is drawn from all, so that batches are independent of one another. batch_size None
    gives the whole training set, in its own order, at each step. Any step can be asked for, in any order: a
    resumed run sees the batches that it would have seen. A batch size for each replica gives rows of different
    lengths, see `Batch.sizes`.

    label_noise: how strongly labels are changed anew at each step, see `atml_exp.label_noise.noisy_labels`.
    random_labels: during the first steps (`500it`, `20ep`) the labels are in a random order that stays the same.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        seeds: Sequence[int],
        batch_size: int | Sequence[int] | None,
        *,
        replacement: bool = False,
        label_noise: float = 0.0,
        random_labels: int | str = 0,
    ) -> None:
        if len({len(s) for s in splits}) > 1:
            raise ValueError(f"replicas need training sets of one size, not {sorted({len(s) for s in splits})}")
        self._seeds = seeds
        self._num_examples = len(splits[0])
        self._label_noise = label_noise
        self._splits = splits
        self._x, self._x_own = _shared_or_stacked([s.x for s in splits])
        self._y, self._y_own = _shared_or_stacked([s.y for s in splits])
        self._permuted = _shared_or_stacked(list(map(_permuted, splits, seeds))) if random_labels else None
        if replacement and batch_size is None:
            raise ValueError("replacement = True: the whole training set is taken as it is; give a batch_size")
        each = batch_size if isinstance(batch_size, Sequence) else [batch_size] * len(seeds)
        self._orders = [
            _Order(list(members), self._num_examples, size, replacement, self._x.device)
            for size, members in _runs(each, seeds)
            if size is not None
        ]
        sizes = tuple((len(o.seeds), o.batch_size) for o in self._orders)
        self._sizes = sizes if len(sizes) > 1 else ()
        if label_noise != 0 and self._sizes:
            raise ValueError(f"label_noise = {label_noise}: the replicas need batches of one size")
        self.num_random = num_steps(random_labels, self.steps_per_epoch[0])
        self._given = [self._x, self._y, *([self._permuted[0]] if self._permuted else [])]
        self._versions = versions(self._given)

    @property
    def steps_per_epoch(self) -> list[int]:
        """For each replica."""
        return [o.steps_per_epoch for o in self._orders for _ in o.seeds] or [1] * len(self._seeds)

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

    def whole(self, step: int) -> Batch:
        """The whole training set with the labels of this step, but for noise that is drawn anew at each step."""
        y, own = self._labels(step)
        return Batch(self._x, y, self._x_own, own)

    def check_unchanged(self, step: int) -> None:
        """After a step. A mini-batch is a copy; the whole training set is given as it is, and the next step's.

        Raises DataChangedError where the model, or its loss, has written into it in place.
        """
        if versions(self._given) != self._versions:
            raise changed([MODEL], "in place", step, step)

    def _labels(self, step: int) -> tuple[Tensor, bool]:
        return self._permuted if self._permuted and step < self.num_random else (self._y, self._y_own)

    def _clean(self, step: int) -> Batch:
        if not self._orders:
            return self.whole(step)
        y, own = self._labels(step)
        stacked = len(self._seeds) > 1
        index = self.index(step)
        x, y = self._gather(self._x, self._x_own, index), self._gather(y, own, index)
        return Batch(x, y, stacked, stacked, self._sizes)

    def index(self, step: int) -> Tensor:
        """Which examples a step sees: (B,), or (R, B) for R > 1; a shorter row is filled up with its first example.

        Without a batch_size all of them, (N,).
        """
        if not self._orders:
            return torch.arange(self._num_examples, device=self._x.device)
        rows = [order(step) for order in self._orders]
        if len(rows) == 1:
            return rows[0] if len(self._seeds) > 1 else rows[0][0]
        longest = max(r.shape[1] for r in rows)
        return torch.cat([torch.cat([r, r[:, :1].expand(-1, longest - r.shape[1])], 1) for r in rows])

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


class _Order:
    """`order(step)` → the examples (R, B) of a step, for R replicas with batches of one size."""

    def __init__(
        self, seeds: Sequence[int], num_examples: int, batch_size: int, replacement: bool, device: torch.device
    ) -> None:
        if not 0 < batch_size <= num_examples:
            raise ValueError(f"batch_size = {batch_size}: must be between 1 and {num_examples} examples")
        self.seeds, self.batch_size = seeds, batch_size
        self.steps_per_epoch = num_examples // batch_size
        self._num_examples, self._replacement, self._device = num_examples, replacement, device
        self._epoch = -1
        self._indices = torch.empty(0)

    def __call__(self, step: int) -> Tensor:
        epoch, k = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._indices = self._of_epoch(epoch)
            self._epoch = epoch
        return self._indices[k]

    def _of_epoch(self, epoch: int) -> Tensor:
        """(steps per epoch, R, B), on the data's device."""
        used = self.steps_per_epoch * self.batch_size
        orders = [self._drawn(generator(s, "order", epoch))[:used] for s in self.seeds]
        rows = torch.stack(orders).view(len(orders), self.steps_per_epoch, -1).transpose(0, 1)
        return rows.contiguous().to(self._device)

    def _drawn(self, draw: torch.Generator) -> Tensor:
        if self._replacement:
            return torch.randint(self._num_examples, (self._num_examples,), generator=draw)
        return torch.randperm(self._num_examples, generator=draw)


def _runs(sizes: Sequence[int | None], seeds: Sequence[int]) -> list[tuple[int | None, list[int]]]:
    """(size, the seeds of the replicas with it) for each run of equal sizes."""
    pairs = groupby(zip(sizes, seeds, strict=True), key=lambda pair: pair[0])
    return [(size, [seed for _, seed in run]) for size, run in pairs]


def _shared_or_stacked(tensors: Sequence[Tensor]) -> tuple[Tensor, bool]:
    """One tensor where all replicas hold the same object, else a stack of them."""
    if all(t is tensors[0] for t in tensors):
        return tensors[0], False
    return torch.stack(list(tensors)), True
