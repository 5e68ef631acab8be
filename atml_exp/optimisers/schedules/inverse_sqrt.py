"""The 1/√t schedule of stochastic convex optimisation."""

from atml_exp.fields import Positive

__all__ = ["inverse_sqrt"]


def inverse_sqrt(step: int, steps: int, *, decay: Positive = 1.0) -> float:
    """η_t/η = 1/√(1 + decay·t): with decay = 1 the classical η/√(t + 1) for convex functions.

    Nemirovski et al. (2009), Robust stochastic approximation approach to stochastic programming.

    >>> [inverse_sqrt(t, 100) for t in (0, 3, 8)]
    [1.0, 0.5, 0.3333333333333333]
    """
    return (1.0 + decay * step) ** -0.5
