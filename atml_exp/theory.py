"""What theory says in closed form, to be drawn beside what was measured."""

import math
from collections.abc import Sequence

import torch

__all__ = ["min_norm_risk"]


def min_norm_risk(n: int, p: int, beta: Sequence[float] | torch.Tensor, noise_variance: float) -> float:
    """E[(y − x_T·β̂)²] of least squares with the least norm, on the first p of D isotropic Gaussian features.

    y = x·β + noise, x ~ N(0, I_D), noise of variance σ²; β̂ is fitted to n examples and sees the coordinates
    T = {1, …, p} of x alone. Expectation over the training set, a new x and its noise, without a factor ½:

        p ≤ n − 2:          (‖β_rest‖² + σ²) (1 + p/(n − p − 1))
        n − 1 ≤ p ≤ n + 1:  infinite
        p ≥ n + 2:          ‖β_T‖² (1 − n/p) + (‖β_rest‖² + σ²) (1 + n/(p − n − 1))

    Belkin, Hsu & Xu (2020), Two models of double descent for weak features, Theorem 1. Where nothing is left that p
    coordinates can't explain, ‖β_rest‖² + σ² = 0, there is no infinity: only ‖β_T‖² max(0, 1 − n/p) remains.

    n ≥ 1, 0 ≤ p ≤ D, beta: D numbers, noise_variance ≥ 0; ValueError otherwise.

    >>> min_norm_risk(40, 0, [0.6, 0.8], 0.25), min_norm_risk(40, 40, [0.1] * 100, 0.0)
    (1.25, inf)
    """
    weights = torch.as_tensor(beta, dtype=torch.float64).flatten()
    if n < 1 or not 0 <= p <= len(weights) or not noise_variance >= 0:
        raise ValueError(
            f"n = {n}, p = {p}, noise_variance = {noise_variance}: allowed are n ≥ 1, 0 ≤ p ≤ D = {len(weights)}, "
            "noise_variance ≥ 0"
        )
    seen, rest = (part.square().sum().item() for part in (weights[:p], weights[p:]))
    unexplained = rest + noise_variance
    missed = seen * max(0.0, 1 - n / p) if p > 0 else 0.0
    return missed + (unexplained * _inflation(n, p) if unexplained > 0 else 0.0)


def _inflation(n: int, p: int) -> float:
    """What fitting does to the variance that can't be explained."""
    if n - 1 <= p <= n + 1:
        return math.inf
    return 1 + p / (n - p - 1) if p < n else 1 + n / (p - n - 1)
