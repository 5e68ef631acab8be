"""Seeded random projection of long vectors, and how much it distorts their distances."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atml_exp.distances import different, distances

__all__ = ["Distortion", "distortion", "project"]


def project(vectors: Tensor, dimension: int, seed: int = 0) -> Tensor:
    """A random linear map of vectors (…, P) into ℝ^d, d = `dimension`, that keeps distances on average.

    (Rw)_k = Σ s_i w_i over the i that fall into place k; each i falls into one of d places, with a sign s_i = ±1,
    both drawn by `seed` (Charikar, Chen & Farach-Colton 2002; Weinberger et al. 2009, Feature hashing for large
    scale multitask learning). E‖Rw‖² = ‖w‖² and Var‖Rw‖² ≤ 2‖w‖⁴/d, so distances err by about 1/√(2d) where many
    coordinates differ: 2 % at d = 1,000. O(P) time and memory. Sums are taken in float64; the result has the
    vectors' type. The same P, d and seed always give the same map.

    Raises ValueError unless 1 ≤ dimension ≤ P.

    >>> project(torch.tensor([3.0, 0.0, 0.0]), 2).norm().item()
    3.0
    """
    size = vectors.shape[-1]
    if not 1 <= dimension <= size:
        raise ValueError(f"dimension must be from 1 to the number of coordinates, {size}; got {dimension}")
    generator = torch.Generator().manual_seed(seed)
    place = torch.randint(dimension, (size,), generator=generator)
    sign = 1 - 2 * torch.randint(2, (size,), generator=generator, dtype=torch.int8)
    signed = vectors.detach().double() * sign.to(vectors.device)
    found = signed.new_zeros((*vectors.shape[:-1], dimension))
    return found.index_add_(-1, place.to(vectors.device), signed).to(vectors.dtype)


class Distortion(NamedTuple):
    """Over pairs of different points: the largest and the mean relative error |d̂/d − 1| of their distances."""

    max: float
    mean: float
    num_pairs: int


def distortion(points: Tensor, stored: Tensor) -> Distortion:
    """How far the distances among `stored` (T, d) are from those among `points` (T, P), of which they were made.

    Pairs of points that are alike don't count: a linear map keeps them alike. Raises ValueError as `distances` does
    (NaN, all points alike), and where the numbers of points differ.

    >>> line = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    >>> distortion(line, line[:, :1])
    Distortion(max=0.4, mean=0.4, num_pairs=1)
    """
    if len(points) != len(stored):
        raise ValueError(
            f"points and what is stored of them must be of one number; got {len(points)}, {len(stored)}"
        )
    truth = distances(points)
    kept = different(truth)
    upper = np.triu_indices(len(kept), 1)
    found = _distances(stored.double())
    errors = np.abs(found[np.ix_(kept, kept)][upper] / truth[np.ix_(kept, kept)][upper] - 1)
    return Distortion(float(errors.max()), float(errors.mean()), len(errors))


def _distances(stored: Tensor) -> np.ndarray:
    """Straight from the differences: nothing is wrong with stored points that have become alike."""
    return torch.cdist(stored, stored, compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
