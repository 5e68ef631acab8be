"""When a quantity is measured, and the guard that leaves training untouched by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from torch import Tensor

from atml_exp.fields import Duration, Incidental, Schedule

__all__ = ["Probe", "Value"]

Value = float | bool | Tensor
"""A scalar (goes to the metrics) or an array (goes to the run's arrays)."""


@dataclass(frozen=True)
class Probe:
    """A quantity and its schedule. The quantity is a plain function; this class is never subclassed.

    fn: `fn(model, split)` → mapping of names to values; with `reads`, `fn(points)`. The model is in eval mode.
    every: `100it`, `2ep`, `log` or `end`; the last step is always measured as well.
    start: measured from here on: `500it`, `10ep`, or from the end: `-500it`.
    split: the examples that `fn` is given.
    reads: a recorded array, such as `trajectory/weights`, that `fn` is a function of, instead of (model, split).
    picture: dotted path of `draw(run) -> Figure` for the report; without it, the curves of all its scalars.
    """

    fn: Callable[..., Mapping[str, Value]]
    every: Schedule = "1ep"
    start: str = "0it"
    split: Literal["train", "test"] = "train"
    reads: str | None = None
    picture: Annotated[str | None, Incidental()] = None
