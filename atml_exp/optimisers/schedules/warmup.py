"""Linear warm-up (Goyal et al., 2017, section 2.2)."""

from atml_exp.fields import Fraction

__all__ = ["warmup"]


def warmup(step: int, steps: int, *, fraction: Fraction = 0.05) -> float:
    """η_t/η = min(1, (t + 1)/(fraction·T)): up in equal steps over the first `fraction` of T = `steps`, then 1.

    >>> [warmup(t, 100, fraction=0.04) for t in (0, 1, 2, 3, 4, 99)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    length = fraction * steps
    return 1.0 if step + 1 >= length else (step + 1) / length
