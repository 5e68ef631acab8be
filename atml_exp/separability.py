"""Whether a hyperplane through 0 separates two classes, and the one with the largest margin. Needs no torch.

For hyperplanes with an offset append a constant feature 1 to the inputs; the offset then counts as a weight.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog, nnls
from scipy.sparse import eye_array, hstack

__all__ = ["HardMargin", "Separation", "hard_margin", "is_separable", "separation", "signed"]

Separation = Literal["complete", "quasi-complete", "none"]


class HardMargin(NamedTuple):
    """margin: γ, the largest min_i (2y_i − 1)⟨w, x_i⟩ of a unit vector. direction: that vector (D,)."""

    margin: float
    direction: np.ndarray


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


def hard_margin(x: ArrayLike, y: ArrayLike) -> HardMargin:
    """The hyperplane through 0 with the largest margin γ > 0, of inputs x (N, D) with labels y (N,) in {0, 1}.

    ŵ = argmin ‖w‖ with (2y_i − 1)⟨w, x_i⟩ ≥ 1 for all i, the hard-margin SVM without (or with a penalised) offset;
    γ = 1/‖ŵ‖. Solved by a least-distance programme, non-negative least squares of N unknowns with an active set
    (Lawson & Hanson 1974, Solving least squares problems, chapter 23), to rounding. ValueError where the examples
    aren't separable, and as `separation` raises.

    >>> found = hard_margin([[2.0, 0.0], [2.0, 5.0], [-3.0, 1.0]], [1, 1, 0])
    >>> round(found.margin, 12), found.direction.round(12).tolist()
    (2.0, [1.0, 0.0])
    """
    z = signed(x, y)
    scale = float(np.abs(z).max()) or 1.0
    rows = np.vstack([z.T / scale, np.ones(len(z))])
    target = np.append(np.zeros(z.shape[1]), 1.0)
    weights, _ = nnls(rows, target, maxiter=100 * max(z.shape))
    left = rows @ weights - target
    length = float(np.linalg.norm(left[:-1]))
    direction = left[:-1] / length if length > 0 else left[:-1]
    margin = float((z @ direction).min())
    if not margin > 1e-12 * scale:
        raise ValueError("no hyperplane through 0 separates the classes, so there is no largest margin")
    return HardMargin(margin, direction)


def signed(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """(2y_i − 1)x_i (N, D), float64. ValueError unless x is (N, D) and y (N,) of 0 and 1, N ≥ 1."""
    inputs, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not len(labels):
        raise ValueError(f"x must be (N, D) and y (N,) with N ≥ 1; got {inputs.shape} and {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1; got {np.unique(labels)[:5].tolist()}")
    return (2.0 * labels.astype(np.float64) - 1)[:, None] * inputs
