"""The 1/t schedule (Robbins & Monro, 1951)."""

from atml_exp.fields import Positive

__all__ = ["inverse_time"]


def inverse_time(step: int, steps: int, *, decay: Positive = 0.01) -> float:
    """η_t/η = 1/(1 + decay·t): with decay = 1 and η = 1/μ the classical 1/(μ(t + 1)).

    >>> [inverse_time(t, 100, decay=1.0) for t in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """
    return 1.0 / (1.0 + decay * step)
