"""Distances among recorded points, of weights, losses or errors: what E_α, PH dimension and magnitude read."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from atml_exp.memory import available_memory, gigabytes
from atml_exp.spanning_tree import Array, as_points, pairwise_distances

__all__ = ["Metric", "different", "distances", "mean_absolute_distances"]

Metric = Literal["euclidean", "mean_absolute", "precomputed"]
"""euclidean: of the weights. mean_absolute: ρ_S of losses, and the 0–1 metric of errors. precomputed: a matrix."""

_ROWS = 256
"""Rows of the matrix that are computed at a time."""


def distances(points: Any, metric: Metric = "euclidean") -> Array:
    """The matrix of distances (T, T) in float64 among T points, made once for all that is read off it.

    points: (T, …), a row for each point; with `precomputed` the matrix (T, T) itself, which is checked.
    euclidean: see `pairwise_distances`. mean_absolute: see `mean_absolute_distances`.
    Memory beside the points: 8·T² bytes and some 100 MB. What reads it needs as much again for a time.

    Raises ValueError where points aren't finite, or the memory there is doesn't hold two such matrices; euclidean:
    also where they are fewer than two or all alike; precomputed: where it isn't square, symmetric, not negative and
    0 on its diagonal.

    >>> distances([[0.0, 3.0], [4.0, 0.0]])
    array([[0., 5.],
           [5., 0.]])
    """
    if metric == "precomputed":
        return _checked(points)
    found = points if isinstance(points, torch.Tensor) else np.asarray(points)
    _check_memory(len(found))
    rows = found.reshape(len(found), -1) if found.ndim > 2 else found
    return pairwise_distances(as_points(rows)) if metric == "euclidean" else mean_absolute_distances(rows)


def mean_absolute_distances(values: Any) -> Array:
    """ρ_S(w, w′) = (1/N) Σ_i |ℓ(w, z_i) − ℓ(w′, z_i)| among the rows of values (T, N), in float64.

    values: losses of N examples (Dupuis, Deligiannidis & Şimşekli 2023, Generalization bounds using data-dependent
    fractal dimensions), or errors as booleans: then it is the fraction of examples on which one errs and the other
    doesn't (Andreeva et al. 2024), exactly. A pseudo-metric: different weights may be at distance 0.
    Raises ValueError unless values are a finite matrix.

    >>> mean_absolute_distances([[0.0, 1.0], [2.0, 1.0]])
    array([[0., 1.],
           [1., 0.]])
    """
    table = values.detach().cpu() if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))
    if table.dim() != 2 or 0 in table.shape:
        raise ValueError(f"values must be a matrix, a row of losses for each point; got shape {tuple(table.shape)}")
    if table.dtype is torch.bool:
        return _hamming(table)
    if not bool(torch.isfinite(table).all()):
        raise ValueError("points hold NaN or infinity (a training that diverged leaves such losses)")
    table, found = table.double(), np.empty((len(table), len(table)))
    for i in range(0, len(table), _ROWS):
        block = torch.cdist(table[i : i + _ROWS], table[i:], p=1.0).numpy() / table.shape[1]
        found[i : i + _ROWS, i:], found[i:, i : i + _ROWS] = block, block.T
    return found


def _hamming(table: torch.Tensor) -> Array:
    """|a| + |b| − 2 a·b, whole numbers that float64 holds exactly, over the number of columns."""
    ones = table.double()
    both, each = (ones @ ones.T).numpy(), ones.sum(1).numpy()
    both *= -2
    both += each[:, None]
    both += each
    both /= table.shape[1]
    return both


def different(matrix: Array) -> NDArray[np.int64]:
    """The index of the first of each set of points at distance 0 of each other, ascending."""
    repeated = np.zeros(len(matrix), dtype=bool)
    for i in range(0, len(matrix), _ROWS):
        repeated |= np.triu(matrix[i : i + _ROWS] == 0, i + 1).any(0)
    return np.flatnonzero(~repeated)


def _checked(points: Any) -> Array:
    matrix = points.detach().cpu().numpy() if isinstance(points, torch.Tensor) else np.asarray(points)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(f"distances must be a square matrix; got shape {matrix.shape}")
    matrix = matrix.astype(np.float64, copy=False)
    low, high = matrix.min(), matrix.max()
    if not (low >= 0 and high < np.inf):  # NaN as well
        raise ValueError(f"distances must be finite and not negative; got values from {low} to {high}")
    if matrix.diagonal().any():
        raise ValueError("distances must be 0 on the diagonal, from each point to itself")
    for i in range(0, len(matrix), _ROWS):
        if not np.allclose(matrix[i : i + _ROWS], matrix[:, i : i + _ROWS].T, rtol=1e-9, atol=1e-12 * high):
            raise ValueError("distances must be symmetric")
    return matrix


def _check_memory(num_points: int) -> None:
    needed, there = 2 * 8 * num_points**2, available_memory(torch.device("cpu"))
    if there is not None and needed > there:
        raise ValueError(
            f"the distances among {num_points} points need {gigabytes(needed)}, and there are {gigabytes(there)}: "
            "record fewer iterates (every=10it, say)"
        )
