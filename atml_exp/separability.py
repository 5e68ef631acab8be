"""Whether a hyperplane through 0 separates two classes. Needs no torch.

For hyperplanes with an offset append a constant feature 1 to the inputs; the offset then counts as a weight.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse import eye_array, hstack

__all__ = ["Separation", "is_separable", "separation", "signed"]

Separation = Literal["complete", "quasi-complete", "none"]


def separation(x: ArrayLike, y: ArrayLike) -> Separation:
    """How far inputs x (N, D) with labels y (N,) in {0, 1} are separated by the sign of ⟨w, x⟩ for some w.

    With z_i = (2y_i − 1)x_i: complete, where a w has ⟨w, z_i⟩ > 0 for all i; quasi-complete, where one has ≥ 0 for
    all and > 0 for some; else none. Logistic regression without a penalty has a minimiser in the last case alone
    (Albert & Anderson 1984, On the existence of maximum likelihood estimates in logistic regression models).

    The programme: max Σt_i over w and 0 ≤ t_i ≤ 1 with t_i ≤ ⟨w, z_i⟩; as w may be scaled up, each t_i is 0 or 1 at
    its solution. Exact up to the solver's tolerance of 1e-7 of the largest |⟨w, z_i⟩|; `complete` is checked by the
    w that was found. ValueError for other shapes or labels.

    >>> separation([[1.0], [2.0], [-1.0]], [1, 1, 0]), separation([[1.0], [-2.0], [-1.0]], [1, 1, 0])
    ('complete', 'none')
    """
    z = signed(x, y)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    z = z / np.where(length > 0, length, 1)  # the signs stay, and the tolerance suits each row
    n, d = z.shape
    found = linprog(
        np.concatenate([np.zeros(d), -np.ones(n)]),
        A_ub=hstack([-z, eye_array(n)]).tocsr(),
        b_ub=np.zeros(n),
        bounds=[(None, None)] * d + [(0, 1)] * n,
        method="highs",
    )
    if found.x is None:
        raise ValueError(f"the linear programme of separability could not be solved: {found.message}")
    if float((z @ found.x[:d]).min()) > 0.5:
        return "complete"
    return "quasi-complete" if -found.fun > 0.5 else "none"


def is_separable(x: ArrayLike, y: ArrayLike) -> bool:
    """Whether some w has (2y_i − 1)⟨w, x_i⟩ > 0 for all examples: see `separation`.

    >>> is_separable([[0.0, 1], [1, 1], [2, 1]], [0, 1, 1]), is_separable([[0.0, 1], [1, 1], [2, 1]], [0, 1, 0])
    (True, False)
    """
    return separation(x, y) == "complete"


def signed(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """(2y_i − 1)x_i (N, D), float64. ValueError unless x is (N, D) and y (N,) of 0 and 1, N ≥ 1."""
    inputs, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not len(labels):
        raise ValueError(f"x must be (N, D) and y (N,) with N ≥ 1; got {inputs.shape} and {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1; got {np.unique(labels)[:5].tolist()}")
    return (2.0 * labels.astype(np.float64) - 1)[:, None] * inputs
