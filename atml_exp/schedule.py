"""Texts for durations and schedules, as numbers of steps."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

__all__ = ["due", "num_steps", "start_step", "within_steps"]


def num_steps(duration: int | str, steps_per_epoch: int) -> int:
    """`500it` or 500 → 500; `20ep` → 20 epochs' steps (rounded up).

    >>> num_steps("500it", 22), num_steps(500, 22), num_steps("20ep", 22), num_steps("0.5ep", 3)
    (500, 500, 440, 2)
    """
    text = str(duration)
    if text.endswith("ep"):
        return math.ceil(Fraction(text[:-2]) * steps_per_epoch)  # exact: 1.1ep of 10 steps are 11
    return int(text.removesuffix("it"))


def start_step(start: str, total: int, steps_per_epoch: int) -> int:
    """`500it`, `10ep`; with a minus sign counted from the end, never before step 0.

    >>> start_step("-100it", 440, 22), start_step("2ep", 440, 22), start_step("-900it", 440, 22)
    (340, 44, 0)
    """
    steps = num_steps(start.removeprefix("-"), steps_per_epoch)
    return max(0, total - steps) if start.startswith("-") else steps


def due(every: str, total: int, steps_per_epoch: int, start: str = "0it") -> Callable[[int], bool]:
    """Whether something is due at a step: `100it`, `2ep`, `log` (0, 1, 2, 4, …) from `start` on; the last always.

    >>> is_due = due("100it", total=250, steps_per_epoch=22, start="50it")
    >>> [t for t in range(251) if is_due(t)]
    [50, 150, 250]
    >>> is_due = due("log", total=20, steps_per_epoch=22)
    >>> [t for t in range(21) if is_due(t)]
    [0, 1, 2, 4, 8, 16, 20]
    """
    if every == "end":
        return lambda step: step == total
    first = start_step(start, total, steps_per_epoch)
    if every == "log":
        return lambda step: step == total or (step >= first and (step - first).bit_count() <= 1)
    period = max(1, num_steps(every, steps_per_epoch))
    return lambda step: step == total or (step >= first and (step - first) % period == 0)


_F = TypeVar("_F", bound=Callable[..., Any])


def within_steps(key: str, where: Callable[[Mapping[str, Any]], bool] = lambda recipe: True) -> Callable[[_F], _F]:
    """Marks a recipe: its duration `key` may not exceed its `steps`, of the configs for which `where` holds."""

    def mark(recipe: _F) -> _F:
        recipe.within_steps = (key, where)  # type: ignore[attr-defined]
        return recipe

    return mark
