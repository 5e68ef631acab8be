"""Gradient descent on the whole training set."""

from dataclasses import dataclass
from typing import ClassVar

from atml_exp.optimisers.sgd import SGD

__all__ = ["GD"]


@dataclass(frozen=True)
class GD(SGD):
    """w ← w − η(∇L(w) + λw), where L is the mean loss on the *whole* training set.

    On a quadratic with curvature h the error shrinks by 1 − ηh a step: stable for h < 2/η.
    """

    full_batch: ClassVar[bool] = True
