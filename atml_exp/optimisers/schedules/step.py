"""Step decay: the learning rate falls by a factor at each milestone."""

from fractions import Fraction as Exact
from functools import cache
from math import ceil

from atml_exp.fields import Fraction, Positive

__all__ = ["step_decay"]


def step_decay(
    step: int, steps: int, *, milestones: tuple[Fraction, ...] = (0.5, 0.75), factor: Positive = 0.1
) -> float:
    """η_t/η = factor^(number of milestones, as fractions of `steps`, that step t has reached).

    >>> [step_decay(t, 100, milestones=(0.5,), factor=0.1) for t in (0, 49, 50, 99)]
    [1.0, 1.0, 0.1, 0.1]
    """
    return float(factor ** sum(step >= first for first in _first_steps(tuple(milestones), steps)))


@cache
def _first_steps(milestones: tuple[float, ...], steps: int) -> list[int]:
    """Exact: 0.55 of 100 steps are 55."""
    return [ceil(Exact(str(m)) * steps) for m in milestones]
