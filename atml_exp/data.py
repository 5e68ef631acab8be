"""Data as frozen values in memory: a mini-batch is an index tensor, not a loader."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

__all__ = ["Dataset", "Split", "Task", "compares_groups", "of_group", "stacks", "suits"]

Task = Literal["classification", "binary", "regression"]

_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True)
class Split:
    """Examples: inputs `x` (N, *shape), labels `y` (N,); optionally a group (N,) and a weight (N,) for each.

    Classification: `y` holds integer classes 0 … C−1 (int64). Regression: `y` is floating, (N,) or (N, K).
    group: int64, 0 … G−1, for instance a person's; no input of the model. weight: how much an example counts while
    training, where that isn't 1; losses and errors that are measured count each example once.
    """

    x: Tensor
    y: Tensor
    group: Tensor | None = None
    weight: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("x", "y", "group", "weight"):
            value = getattr(self, name)
            if not isinstance(value, Tensor) and (value is not None or name in "xy"):
                raise TypeError(f"{name} is a {type(value).__name__}; allowed: a tensor, as of torch.as_tensor")
        if self.x.shape[:1] != self.y.shape[:1]:
            raise ValueError(f"x holds {len(self.x)} examples and y {len(self.y)}: they must be equal")
        if self.group is not None and len(self.group) != len(self.y):
            raise ValueError(f"group holds {len(self.group)} labels for {len(self.y)} examples")
        if self.weight is not None and self.weight.shape != self.y.shape[:1]:
            raise ValueError(f"weight has the shape {tuple(self.weight.shape)} for {len(self.y)} examples")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        """Shapes and types.

        >>> Split(torch.zeros(3, 2), torch.arange(3))
        Split(x=(3, 2) float32, y=(3,) int64, on cpu)
        """
        named = {"x": self.x, "y": self.y, "group": self.group, "weight": self.weight}
        said = [f"{name}={_kind(tensor)}" for name, tensor in named.items() if tensor is not None]
        return f"Split({', '.join(said)}, on {self.x.device})"

    def __getitem__(self, index: Tensor) -> "Split":
        """The examples that an index or boolean tensor (1-D) names."""
        group, weight = (None if t is None else t[index] for t in (self.group, self.weight))
        return Split(self.x[index], self.y[index], group, weight)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Split":
        """On `device`, floating tensors as `dtype`."""
        y = self.y.to(device, dtype if self.y.is_floating_point() else None)
        group = None if self.group is None else self.group.to(device)
        weight = None if self.weight is None else self.weight.to(device, dtype)
        return Split(self.x.to(device, dtype), y, group, weight)


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


@dataclass(frozen=True)
class Dataset:
    """A training and a test split, and what one must know of them to build a model.

    num_classes: C for classification, None for regression.
    clean_labels: the training labels before a corruption changed them, else None.
    group_names: what the groups 0 … G−1 are called, where examples have one.
    """

    name: str
    train: Split
    test: Split
    num_classes: int | None
    clean_labels: Tensor | None = field(default=None, repr=False)
    group_names: tuple[str, ...] = ()

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


def of_group(fn: _F) -> _F:
    """Declares that a training loss looks at each example's group: fn(outputs, y, group). Measured without a group,
    fn(outputs, y) is its mean over examples alone.
    """
    fn.of_group = True  # type: ignore[attr-defined]
    return fn


def compares_groups(fn: _F) -> _F:
    """Declares that a probe is defined for examples of at least two groups only."""
    fn.compares_groups = True  # type: ignore[attr-defined]
    return fn


def stacks(*options: str) -> Callable[[_F], _F]:
    """Declares options of a loss `of_group`, numbers, in which the replicas of a population may differ.

    They must count while training only, not where the loss is measured without a group.
    """

    def mark(fn: _F) -> _F:
        fn.stacked_options = options  # type: ignore[attr-defined]
        return fn

    return mark
