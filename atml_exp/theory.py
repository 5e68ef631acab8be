"""What theory says in closed form, to be drawn beside what was measured."""

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["gradient_descent_risk", "min_norm_risk"]


def min_norm_risk(n: int, p: int, beta: ArrayLike, noise_variance: float) -> float:
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
    weights = np.asarray(beta, dtype=np.float64).ravel()
    if n < 1 or not 0 <= p <= len(weights) or not noise_variance >= 0:
        raise ValueError(
            f"n = {n}, p = {p}, noise_variance = {noise_variance}: allowed are n ≥ 1, 0 ≤ p ≤ D = {len(weights)}, "
            "noise_variance ≥ 0"
        )
    seen, rest = (float(part @ part) for part in (weights[:p], weights[p:]))
    unexplained = rest + noise_variance
    missed = seen * max(0.0, 1 - n / p) if p > 0 else 0.0
    return missed + (unexplained * _inflation(n, p) if unexplained > 0 else 0.0)


def gradient_descent_risk(
    step: ArrayLike, eigenvalues: ArrayLike, beta: ArrayLike, noise_variance: float, n: int, learning_rate: float
) -> np.ndarray:
    """E[(y − x·w_t)²] of w_t (…,) after `step` (…,) steps of GD from 0 on ½·mean squares of n examples.

    y = x·β + noise, x ~ N(0, diag λ), noise of variance σ². With n much larger than the dimension the examples'
    covariance is about diag λ; then each direction has learnt the fraction s_i(t) = 1 − (1 − ηλ_i)^t, and

        risk(t) = σ² + Σ_i [λ_i β_i² (1 − s_i)² + (σ²/n) s_i²],

    what is still missing and what of the noise has been fitted. A sum of such curves, each with its own minimum, at
    times in the ratio of the eigenvalues, can fall, rise and fall again: epoch-wise double descent (Heckel & Yilmaz
    2021, Early stopping in deep networks: double descent and how to eliminate it, Theorem 1). Errors are of the
    relative order D/n.

    >>> gradient_descent_risk([0, 10**6], [1.0, 0.1], [1.0, 1.0], 0.5, 100, 0.5).round(6).tolist()
    [1.6, 0.51]
    """
    t, lam = np.asarray(step, dtype=float)[..., None], np.asarray(eigenvalues, dtype=float)
    left = (1 - learning_rate * lam) ** t
    signal = lam * np.asarray(beta, dtype=float) ** 2
    return np.asarray(noise_variance + (signal * left**2 + noise_variance / n * (1 - left) ** 2).sum(-1))


def _inflation(n: int, p: int) -> float:
    """What fitting does to the variance that can't be explained."""
    if n - 1 <= p <= n + 1:
        return math.inf
    return 1 + p / (n - p - 1) if p < n else 1 + n / (p - n - 1)
