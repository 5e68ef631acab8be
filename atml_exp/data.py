"""Data as frozen values in memory: a mini-batch is an index tensor, not a loader."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

__all__ = ["Dataset", "Split", "Task", "suits"]

Task = Literal["classification", "binary", "regression"]

_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True)
class Split:
    """Examples: inputs `x` (N, *shape), labels `y` (N,), optionally a group (N,) for each.

    Classification: `y` holds integer classes 0 … C−1 (int64). Regression: `y` is floating, (N,) or (N, K).
    """

    x: Tensor
    y: Tensor
    group: Tensor | None = None

    def __post_init__(self) -> None:
        if self.x.shape[:1] != self.y.shape[:1]:
            raise ValueError(f"x holds {len(self.x)} examples and y {len(self.y)}: they must be equal")
        if self.group is not None and len(self.group) != len(self.y):
            raise ValueError(f"group holds {len(self.group)} labels for {len(self.y)} examples")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Tensor) -> "Split":
        """The examples that an index or boolean tensor (1-D) names."""
        group = None if self.group is None else self.group[index]
        return Split(self.x[index], self.y[index], group)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Split":
        """On `device`, floating tensors as `dtype`."""
        y = self.y.to(device, dtype if self.y.is_floating_point() else None)
        group = None if self.group is None else self.group.to(device)
        return Split(self.x.to(device, dtype), y, group)


@dataclass(frozen=True)
class Dataset:
    """A training and a test split, and what one must know of them to build a model.

    num_classes: C for classification, None for regression.
    clean_labels: the training labels before a corruption changed them, else None.
    """

    name: str
    train: Split
    test: Split
    num_classes: int | None
    clean_labels: Tensor | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train.x.shape[1:])

    @property
    def num_targets(self) -> int:
        """Outputs that a model needs: C for classification, the dimension of y for regression."""
        if self.num_classes is not None:
            return self.num_classes
        return 1 if self.train.y.dim() == 1 else self.train.y.shape[1]

    @property
    def tasks(self) -> frozenset[Task]:
        if self.num_classes is None:
            return frozenset({"regression"})
        return frozenset({"classification", "binary"} if self.num_classes == 2 else {"classification"})

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Dataset":
        """On `device`, floating tensors as `dtype`."""
        clean = None if self.clean_labels is None else self.clean_labels.to(device)
        return replace(
            self,
            train=self.train.to(device, dtype),
            test=self.test.to(device, dtype),
            clean_labels=clean,
        )


def suits(*tasks: Task, num_outputs: int | None = None) -> Callable[[_F], _F]:
    """Declares the tasks that a loss or probe is defined for (without it: all).

    num_outputs: how many outputs a model needs under this loss, where that isn't the dataset's `num_targets`.
    """

    def mark(fn: _F) -> _F:
        fn.suited_tasks = frozenset(tasks)  # type: ignore[attr-defined]
        fn.num_outputs = num_outputs  # type: ignore[attr-defined]
        return fn

    return mark
