"""What one training example does to answers, estimated from many models trained on random subsets."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Scores", "influence", "memorisation"]


class Scores(NamedTuple):
    """Estimates and their standard errors, of one shape."""

    values: np.ndarray
    standard_errors: np.ndarray


def memorisation(correct: ArrayLike, included: ArrayLike) -> Scores:
    """mem(i) = P(right on i | i trained on) − P(right on i | i left out), (N,), in [−1, 1].

    Feldman & Zhang (2020), What neural networks memorize and why, eq. 1: near 1 for an example that is answered
    right only by a model that has seen it, near 0 for one that others like it teach. Probabilities are over the
    training: its randomness and the rest of the training set, a random subset of the pool, in place of all of the
    pool but i. correct, included (M, N) of M models and the N examples of the pool: 0 or 1. Standard errors are
    those of a difference of two means of independent models, of the sample variances /(n − 1), hence 0 where all
    agree. ValueError for other shapes or values, and where an example is in, or not in, fewer than two training
    sets.

    >>> memorisation([[1], [1], [1], [0], [0], [1]], [[1], [1], [1], [0], [0], [0]]).values.round(3)
    array([0.667])
    """
    right, held = _checked(correct, included, same_examples=True)
    counts, others = held.sum(0), (1 - held).sum(0)
    inside, outside = (right * held).sum(0) / counts, (right * (1 - held)).sum(0) / others
    return Scores(inside - outside, _standard_errors(inside, outside, counts, others))


def influence(correct: ArrayLike, included: ArrayLike) -> Scores:
    """infl(i, j) = P(right on j | i trained on) − P(right on j | i left out), (N, T): of example i on answer j.

    correct (M, T), of T examples of any kind; included (M, N). Of the pool itself the diagonal is `memorisation`,
    which says the rest.

    >>> influence([[1, 0], [1, 1], [0, 0], [0, 1]], [[1], [1], [0], [0]]).values
    array([[1., 0.]])
    """
    right, held = _checked(correct, included, same_examples=False)
    counts, others = held.sum(0)[:, None], (1 - held).sum(0)[:, None]
    inside, outside = held.T @ right / counts, (1 - held).T @ right / others
    return Scores(inside - outside, _standard_errors(inside, outside, counts, others))


def _standard_errors(inside: np.ndarray, outside: np.ndarray, n: np.ndarray, m: np.ndarray) -> np.ndarray:
    return np.sqrt(inside * (1 - inside) / (n - 1) + outside * (1 - outside) / (m - 1))


def _checked(correct: ArrayLike, included: ArrayLike, *, same_examples: bool) -> tuple[np.ndarray, np.ndarray]:
    right, held = np.asarray(correct, dtype=float), np.asarray(included, dtype=float)
    fits = right.ndim == held.ndim == 2 and len(right) == len(held)
    if not fits or (same_examples and right.shape != held.shape):
        wanted = "(M, N) both" if same_examples else "(M, T) and (M, N)"
        raise ValueError(f"correct and included have the shapes {right.shape} and {held.shape}: must be {wanted}")
    if not (np.isin(right, (0, 1)).all() and np.isin(held, (0, 1)).all()):
        raise ValueError("correct and included hold other values than 0 and 1")
    least = np.minimum(held.sum(0), (1 - held).sum(0))
    if (least < 2).any():
        i = int(least.argmin())
        raise ValueError(
            f"example {i} is in {int(held[:, i].sum())} of {len(held)} training sets: it must be in two at least, "
            "and not in two"
        )
    return right, held
