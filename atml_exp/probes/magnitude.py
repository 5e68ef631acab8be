"""Magnitude: how many points a set effectively has, at a scale, read off the recorded trajectory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh
from torch import nn

from atml_exp.data import Split
from atml_exp.distances import Metric, different
from atml_exp.distances import distances as distance_matrix
from atml_exp.fields import Positive
from atml_exp.probe import Value, of_model_and_points
from atml_exp.spanning_tree import Array

__all__ = ["Magnitude", "magnitude", "trajectory_magnitude"]

UNSOLVED = 1e-6
"""Chosen by us: where max|1 − Zβ| is larger after the fallback, no β solves the equation."""

_ROWS = 512


@dataclass(frozen=True, eq=False)
class Magnitude:
    """Of a finite metric space at a scale s: Z = exp(−sD) elementwise, Zβ = 1.

    magnitude: Σβ. positive_magnitude: Σmax(β, 0). weights: β, of the points in `points`.
    points: the index of the first of each set of points that are alike; the others are left out.
    method: `cholesky`, or `eigen`, the fallback where rounding or the metric leave Z not positive definite: β of
    least norm, without the eigenvalues below n·ε times the largest.
    error: an absolute bound on that of the magnitude, to first order. cholesky: ‖Z⁻¹r‖₁ of the residual r = 1 − Zβ,
    which bounds the error of both sums; eigen: ‖β‖₁·max|r|, of the magnitude alone.
    """

    magnitude: float
    positive_magnitude: float
    error: float
    method: str
    weights: Array
    points: NDArray[np.int64]


def magnitude(distances: Any, scale: float = 1.0) -> Magnitude:
    """Magnitude and positive magnitude of a set, from its distances (n, n), at the scale s = `scale` > 0.

    Leinster 2013, The magnitude of metric spaces; the positive one: Andreeva, Dupuis, Sarkar, Birdal & Şimşekli
    2024, Topological generalization bounds for discrete-time stochastic optimization algorithms. Between 1 (s → 0)
    and n (s → ∞) for points of a Euclidean or ℓ₁ space. In float64. Points at distance 0 of each other make Z
    singular: they count once. Memory: 8·n² bytes beside the distances.

    Raises ValueError where distances aren't a distance matrix, scale isn't positive, or Z is singular and no
    weighting β exists (never so for different points of a Euclidean or ℓ₁ space).

    >>> round(magnitude([[0.0, math.log(3)], [math.log(3), 0.0]]).magnitude, 12)  # 2/(1 + e^−d)
    1.5
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be a positive number; got {scale}")
    matrix = distance_matrix(distances, "precomputed")
    points = different(matrix)
    return _of_different(matrix if len(points) == len(matrix) else matrix[np.ix_(points, points)], scale, points)


@of_model_and_points
def trajectory_magnitude(
    model: nn.Module,
    data: Split,
    points: torch.Tensor,
    *,
    metric: Metric = "euclidean",
    small: Positive = 0.01,
    num_scales: Annotated[int, Ge(2)] = 9,
) -> dict[str, Value]:
    """Magnitudes of recorded points (T, …) from a small scale to √N, N = len(data) (Andreeva et al. 2024).

        Mag(s) = Σ_ij (Z⁻¹)_ij
        Z_ij = exp(−s d(x_i, x_j))

    points: weights with the metric `euclidean`, losses or errors of single examples with `mean_absolute`.
    Returns `sqrt_n` and `positive_sqrt_n`, of the scale √N; `small` and `positive_small`, of the scale `small`;
    `num_points`, how many different points there are; `error_bound` and `cholesky` (1: no scale needed the
    fallback), the worst of all scales, see `Magnitude`; and the arrays `scales`, `magnitudes` and
    `positive_magnitudes` (num_scales,), in a geometric sequence from one to the other. The model isn't looked at.
    Raises ValueError as `distances` does for points that aren't finite, and as `magnitude` does.
    """
    matrix = distance_matrix(points, metric)
    scales = np.geomspace(small, math.sqrt(len(data)), num_scales)
    found = [magnitude(matrix, float(scale)) for scale in scales]
    return {
        "sqrt_n": found[-1].magnitude,
        "positive_sqrt_n": found[-1].positive_magnitude,
        "small": found[0].magnitude,
        "positive_small": found[0].positive_magnitude,
        "num_points": float(len(found[0].points)),
        "error_bound": max(f.error for f in found),
        "cholesky": all(f.method == "cholesky" for f in found),
        "scales": torch.from_numpy(scales),
        "magnitudes": torch.tensor([f.magnitude for f in found], dtype=torch.float64),
        "positive_magnitudes": torch.tensor([f.positive_magnitude for f in found], dtype=torch.float64),
    }


def _of_different(matrix: Array, scale: float, points: NDArray[np.int64]) -> Magnitude:
    ones = np.ones(len(matrix))
    solve, method = _solver(matrix, scale)
    weights = solve(ones)
    left = ones - _times(matrix, scale, weights)
    if method == "cholesky":
        error = np.abs(solve(left)).sum()
    elif np.abs(left).max() > UNSOLVED:
        raise ValueError(
            f"exp(−{scale:g}·D) is singular and has no weighting: the magnitude isn't defined at this scale"
        )
    else:
        error = np.abs(weights).sum() * np.abs(left).max()
    positive = np.maximum(weights, 0).sum()
    return Magnitude(float(weights.sum()), float(positive), float(error), method, weights, points)


def _solver(matrix: Array, scale: float) -> tuple[Callable[[Array], Array], str]:
    """Z⁻¹ as a function of the right-hand side; Z is overwritten by its factor."""
    try:
        factor = cho_factor(_similarities(matrix, scale).T, lower=True, overwrite_a=True, check_finite=False)
        return lambda b: cho_solve(factor, b, check_finite=False), "cholesky"
    except LinAlgError:
        values, vectors = eigh(_similarities(matrix, scale).T, overwrite_a=True, check_finite=False)
        kept = np.abs(values) > len(values) * np.finfo(np.float64).eps * np.abs(values).max()
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
        return lambda b: vectors @ (inverse * (vectors.T @ b)), "eigen"


def _similarities(matrix: Array, scale: float) -> Array:
    z = matrix * -scale
    return np.exp(z, out=z)


def _times(matrix: Array, scale: float, weights: Array) -> Array:
    """Zβ, some rows of Z at a time."""
    return np.concatenate(
        [_similarities(matrix[i : i + _ROWS], scale) @ weights for i in range(0, len(matrix), _ROWS)]
    )
