"""Minimum spanning trees of points in any dimension: their edges are the lifetimes of PH₀."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

__all__ = ["Array", "as_points", "lifetimes", "pairwise_distances", "tree_edges"]

Array = NDArray[np.float64]
Points = NDArray[np.floating[Any]] | torch.Tensor
"""Of any floating type: an array, or a tensor where they lie on a CUDA device."""

_CLOSE = 1e7 * float(np.finfo(np.float64).eps)
"""Squared distances above this fraction of the largest squared norm lose at most 1e-7 to the Gram matrix."""

_CHUNK = 2**22
"""Numbers in a temporary array: 32 MiB."""


def lifetimes(points: Any) -> Array:
    """Lifetimes of the PH₀ classes of the Vietoris–Rips filtration of N points.

    They are the lengths of the edges of the Euclidean minimum spanning tree: all components are born at 0, and the
    tree's edges are the distances at which they merge. The class that never dies is left out.

    points: (N, D) tensor or array. Returns (N − 1,) float64, ascending, in the points' unit.
    Raises ValueError as `as_points` does.

    >>> lifetimes(np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]]))
    array([1., 3.])
    """
    return np.sort(tree_edges(pairwise_distances(as_points(points))))


def as_points(points: Any) -> Points:
    """Points (N, D) in their own floating type (whole numbers: float64), without a copy where they have one.

    Raises ValueError unless they are N ≥ 2 points in D ≥ 1 dimensions, all finite, and not all alike.
    """
    found: Any = _floating(points)
    if found.ndim != 2 or found.shape[1] == 0:
        raise ValueError(f"points must be a matrix with one point in each row; got shape {tuple(found.shape)}")
    if len(found) < 2:
        raise ValueError(f"points must be at least 2; got {len(found)}")
    if not bool((abs(found.max()) + abs(found.min())) < np.inf):
        raise ValueError("points hold NaN or infinity (a training that diverged leaves such points)")
    if bool((found == found[0]).all()):
        raise ValueError(f"all {len(found)} points are alike: nothing moved, so there is nothing to measure")
    return found


def _floating(points: Any) -> Points:
    if isinstance(points, torch.Tensor):
        points = points.detach()
        if points.is_cuda:
            return points
        points = (points.float() if points.dtype is torch.bfloat16 else points).cpu().numpy()
    found = np.asarray(points)
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def pairwise_distances(points: Points) -> Array:
    """Euclidean distances (N, N) of points (N, D) in float64, each with a relative error of at most about 1e-7.

    From the Gram matrix of the centred points, summed over blocks of columns. Pairs so close, beside the extent of
    the set, that cancellation would show are measured anew by their differences, in chunks. Memory beside the
    points: 8·N² bytes for the result and some 100 MB; no copy of the points, nothing of size N·N·D.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        gram = _gram(points)
    norms = gram.diagonal().copy()
    if not 1e-250 < norms.max() < 1e250:
        points = _double(points)
        scale = float(points.max() - points.min())
        return scale * pairwise_distances(points / scale)
    gram *= -2
    gram += norms[:, None]
    gram += norms
    _measure_anew(gram, points, np.argwhere(np.triu(gram < _CLOSE * norms.max(), 1)))
    np.fill_diagonal(gram, 0)
    return np.sqrt(gram, out=gram)


def _gram(points: Points) -> Array:
    """Inner products (N, N) of the centred points; on the CPU of the lower triangle alone, then mirrored."""
    n, width = len(points), max(1, _CHUNK // len(points))
    blocks = (_centred(points[:, i : i + width]) for i in range(0, points.shape[1], width))
    if isinstance(points, torch.Tensor):
        return _to_numpy(sum((b @ b.T for b in blocks), start=points.new_zeros((n, n), dtype=torch.float64)))
    gram = np.zeros((n, n), order="F")
    for block in blocks:
        gram = dsyrk(1.0, block.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
    return _mirrored(gram)


def _mirrored(lower: Array, size: int = 512) -> Array:
    """The symmetric matrix whose lower triangle this is, in place."""
    for i in range(0, len(lower), size):
        square = lower[i : i + size, i : i + size]
        square[:] = np.tril(square) + np.tril(square, -1).T
        lower[i : i + size, i + size :] = lower[i + size :, i : i + size].T
    return lower.T  # which numpy passes over row by row


def _centred(block: Any) -> Any:
    double = _double(block)
    return double - double.mean(0)


def _double(points: Any) -> Any:
    return points.double() if isinstance(points, torch.Tensor) else points.astype(np.float64)


def _measure_anew(squared: Array, points: Points, pairs: NDArray[np.int64]) -> None:
    for chunk in np.array_split(pairs, 1 + len(pairs) * points.shape[1] // _CHUNK):
        i, j = chunk.T
        difference = _double(points[i]) - _double(points[j])
        squared[i, j] = squared[j, i] = _to_numpy((difference * difference).sum(1))


def _to_numpy(values: Any) -> Array:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def tree_edges(distances: Array) -> Array:
    """Lengths (n − 1,) of the edges of a minimum spanning tree of the complete graph, in the order of growth.

    distances: (n, n), symmetric. Prim's algorithm (Prim 1957), one row at a time: O(n²) time, O(n) memory.

    >>> tree_edges(np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]]))
    array([1., 2.])
    """
    edges = np.empty(len(distances) - 1)
    nearest, joined = distances[0].copy(), 0
    within = np.zeros(len(distances))  # infinite for points that the tree has: cheaper than a mask
    for k in range(len(edges)):
        within[joined] = np.inf
        np.minimum(nearest, distances[joined], out=nearest)
        np.maximum(nearest, within, out=nearest)
        joined = int(nearest.argmin())
        edges[k] = nearest[joined]
    return edges
