"""Cosine annealing without restarts (Loshchilov & Hutter, 2017, equation 5)."""

import math

from atml_exp.fields import Fraction

__all__ = ["cosine"]


def cosine(step: int, steps: int, *, final: Fraction = 0.0) -> float:
    """η_t/η = final + ½(1 − final)(1 + cos(πt/T)): 1 at t = 0, `final` at t = T = `steps`.

    >>> [round(cosine(t, 100), 6) for t in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    return final + 0.5 * (1 - final) * (1 + math.cos(math.pi * step / max(steps, 1)))
