"""What an optimiser is: a pure update rule on weight vectors.

The weights of a model are one vector `w` (P,), those of a population one matrix (R, P); every rule is written
for (..., P), in the lecture's notation, and its hyperparameters are numbers or columns (R, 1), one for each
replica.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from atml_exp.layout import Layout

__all__ = ["Gradient", "Optimiser", "State", "axpy", "decayed", "stack"]


class Gradient(Protocol):
    """The gradient of this step's mini-batch loss, as a function of the weights."""

    @property
    def layout(self) -> Layout:
        """Which stretch of w is which parameter."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of each replica, for rules that draw random numbers: only from `generator(seed, purpose, step)`."""

    @property
    def loss(self) -> Tensor:
        """The loss (...) at the weights of the latest call."""

    def __call__(self, w: Tensor) -> Tensor:
        """w (..., P) → ∇L(w) (..., P)."""

    def full(self, w: Tensor) -> Tensor:
        """w (..., P) → the gradient (..., P) of the mean loss on the whole training set; leaves `loss` as it is."""


State: TypeAlias = dict[str, Tensor]

_O = TypeVar("_O", bound="Optimiser")


class Optimiser(Protocol):
    """A frozen dataclass of hyperparameters with two pure methods."""

    @property
    def learning_rate(self) -> Any:
        """η before the schedule."""

    def init(self, w: Tensor) -> State:
        """The state before the first step; each tensor is shaped like w or has its leading axes."""

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        """w and state after the step that `step` (0, 1, …) counts, with the scheduled learning rate."""


def axpy(a: Any, x: Tensor, y: Tensor) -> Tensor:
    """a·x + y (..., P) in one pass over memory; a: a number, or a column for the replicas.

    >>> axpy(2.0, torch.ones(2), torch.zeros(2))
    tensor([2., 2.])
    """
    return torch.addcmul(y, a, x) if isinstance(a, Tensor) else torch.add(y, x, alpha=a)


def decayed(g: Tensor, w: Tensor, weight_decay: Any) -> Tensor:
    """g + λw, the gradient of the loss with the penalty ½λ‖w‖² (biases included, as in torch.optim)."""
    return g if isinstance(weight_decay, float | int) and weight_decay == 0 else axpy(weight_decay, w, g)


def stack(optimisers: Sequence[_O], like: Tensor) -> _O:
    """One optimiser for R replicas: the hyperparameters that differ become columns (R, 1) like `like`.

    Raises ValueError where the replicas' optimisers differ in kind or in something that isn't a number.
    """
    first = optimisers[0]
    if any(type(o) is not type(first) for o in optimisers):
        raise ValueError(f"can't stack different optimisers: {sorted({type(o).__name__ for o in optimisers})}")
    changes = {}
    for name in (f.name for f in fields(first)):  # type: ignore[arg-type]
        values = [getattr(o, name) for o in optimisers]
        if all(v == values[0] for v in values):
            continue
        if not all(isinstance(v, float | int) and not isinstance(v, bool) for v in values):
            raise ValueError(f"can't stack optimisers that differ in {name}: {values[0]!r}, {values[1]!r}, …")
        changes[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
    return replace(first, **changes) if changes else first  # type: ignore[type-var]
