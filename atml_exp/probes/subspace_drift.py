"""Drift of the Hessian's top subspace: how far it turns from one reading to the next."""

import math

import torch
from torch import Tensor

from atml_exp.linalg import as_float64
from atml_exp.probe import Value

__all__ = ["overlap", "subspace_drift"]


def subspace_drift(points: Tensor) -> dict[str, Value]:
    """Overlap of the latest of recorded subspaces (T, k, P), bases of orthonormal rows, with earlier ones.

        ‖A Bᵀ‖²_F/k = tr(P_a P_b)/k

    overlap_previous, overlap_first: see `overlap`; with the reading before (left out at the first), and the first.
    chance: k/P, the mean overlap of random subspaces. angle_previous: the largest principal angle to the reading
    before, in degrees: 90 where some direction has been lost altogether.

    Gur-Ari, Roberts & Dyer (2018), Gradient descent happens in a tiny subspace, §2: the subspace of the top k
    eigenvectors hardly moves after a short while, though weights do.
    Raises ValueError for arrays of another shape or rows that aren't orthonormal.
    """
    if points.dim() != 3 or len(points) == 0:
        raise ValueError(f"points have the shape {tuple(points.shape)}: it must be (T, k, P), T ≥ 1")
    latest, first = _basis(points[-1]), _basis(points[0])
    values: dict[str, Value] = {"overlap_first": overlap(latest, first), "chance": len(latest) / latest.shape[1]}
    if len(points) > 1:
        previous = _basis(points[-2])
        values["overlap_previous"] = overlap(latest, previous)
        least = torch.linalg.svdvals(latest @ previous.T)[-1].clamp(max=1)
        values["angle_previous"] = math.degrees(math.acos(least.item()))
    return values


def overlap(a: Tensor, b: Tensor) -> float:
    """‖A Bᵀ‖²/k of two bases (k, P) of orthonormal rows: 1 for the same subspace, 0 for orthogonal ones.

    It is tr(P_a P_b)/k, the mean of the squared cosines of the principal angles.

    >>> overlap(torch.eye(4)[:2], torch.eye(4)[1:3])
    0.5
    """
    return min(1.0, ((as_float64(a) @ as_float64(b).T).square().sum() / len(a)).item())


def _basis(rows: Tensor) -> Tensor:
    """In float64, its rows orthonormal beyond the float32 that they may have been recorded in."""
    rows = as_float64(rows)
    if not torch.allclose(rows @ rows.T, torch.eye(len(rows)).to(rows), atol=1e-3):
        raise ValueError("the rows of a basis must be orthonormal, such as eigenvectors of length 1 are")
    return torch.linalg.qr(rows.T)[0].T
