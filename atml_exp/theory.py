"""What theory says in closed form, to be drawn beside what was measured."""

import math

import numpy as np
from numpy.typing import ArrayLike

from atml_exp.mean_field import mean_field_map

__all__ = [
    "acceleration_bound",
    "best_rate",
    "first_order_lower_bound",
    "gd_quadratic",
    "gradient_descent_bound",
    "gradient_descent_risk",
    "largest_stable_learning_rate",
    "mean_field_map",
    "min_norm_risk",
    "sgd_stationary_variance",
]


def gd_quadratic(
    eigenvalues: ArrayLike, learning_rate: float, steps: int, momentum: float = 0.0, nesterov: bool = False
) -> np.ndarray:
    """Factors c (…,) with e_t = c·e_0 for the error along each eigendirection of a quadratic, after t = `steps`.

    f = ½ Σ_i λ_i e_i², e = w − w*; started at rest, in torch.optim.SGD's convention (dampening 0):
    v ← βv + λe, then e ← e − ηv, or with Nesterov's momentum e ← e − η(λe + βv). Without momentum c = (1 − ηλ)^t;
    with it c is the first entry of the t-th power of the 2 × 2 matrix that takes (e, v) to the next step's.

    eigenvalues may be of any sign. ValueError for learning_rate ≤ 0, steps < 0 or momentum outside [0, 1).

    >>> gd_quadratic([1.0, 2.0, 4.0], 0.5, 3).tolist()
    [0.125, 0.0, -1.0]
    """
    _check_rule(learning_rate, momentum)
    if int(steps) != steps or steps < 0:
        raise ValueError(f"steps is {steps}: it must be a whole number from 0")
    lam = np.asarray(eigenvalues, dtype=float)
    if momentum == 0:
        return (1 - learning_rate * lam) ** int(steps)
    step = np.empty((*lam.shape, 2, 2))
    now = learning_rate * (1 + momentum) if nesterov else learning_rate
    step[..., 0, 0] = 1 - now * lam
    step[..., 0, 1] = -learning_rate * momentum * (momentum if nesterov else 1)
    step[..., 1, 0], step[..., 1, 1] = lam, momentum
    return np.linalg.matrix_power(step, int(steps))[..., 0, 0]


def largest_stable_learning_rate(eigenvalue: float, momentum: float = 0.0, nesterov: bool = False) -> float:
    """The η above which gradient descent on ½λe² diverges; for a Hessian with λ_max, the edge of stability.

        gradient descent: 2/λ   with momentum β: (2 + 2β)/λ   with Nesterov's: (2 + 2β)/((1 + 2β)λ)

    In torch.optim.SGD's convention (dampening 0), as Cohen et al. (2021), Gradient descent on neural networks
    typically occurs at the edge of stability, appendix B. ValueError for λ ≤ 0 or momentum outside [0, 1).

    >>> largest_stable_learning_rate(4.0), largest_stable_learning_rate(4.0, 0.5)
    (0.5, 0.75)
    """
    if not eigenvalue > 0:
        raise ValueError(f"eigenvalue is {eigenvalue}: it must be positive")
    _check_rule(1.0, momentum)
    return (2 + 2 * momentum) / (eigenvalue * (1 + 2 * momentum if nesterov else 1))


def gradient_descent_bound(steps: ArrayLike, smoothness: float, radius: float) -> np.ndarray:
    """LR²/(4N + 2): f − f* of an L-smooth convex function after N steps with η = 1/L, from ‖w_0 − w*‖ ≤ R, at most.

    Drori & Teboulle (2014), Performance of first-order methods for smooth convex minimization, Theorem 1; there are
    functions for which it is reached.
    """
    return smoothness * radius**2 / (4 * np.asarray(steps, dtype=float) + 2)


def acceleration_bound(steps: ArrayLike, smoothness: float, radius: float) -> np.ndarray:
    """2LR²/(N + 1)²: the same for Nesterov's accelerated method (Beck & Teboulle 2009, Theorem 4.4)."""
    return 2 * smoothness * radius**2 / (np.asarray(steps, dtype=float) + 1) ** 2


def first_order_lower_bound(steps: ArrayLike, smoothness: float, radius: float) -> np.ndarray:
    """3LR²/(32(N + 1)²): what any method that combines gradients leaves of the worst function of dimension 2N + 1.

    Nesterov (2018), Lectures on convex optimization, Theorem 2.1.7.
    """
    return 3 * smoothness * radius**2 / (32 * (np.asarray(steps, dtype=float) + 1) ** 2)


def best_rate(condition_number: float, method: str) -> float:
    """By which ‖w − w*‖ shrinks a step, in the long run, on quadratics with κ = L/μ and the method's best numbers.

        gradient_descent: (κ − 1)/(κ + 1)    at η = 2/(L + μ)
        heavy_ball:       (√κ − 1)/(√κ + 1)  at η = 4/(√L + √μ)², β the rate's square (Polyak 1964)
        nesterov:         1 − 1/√κ           at η = 1/L, β = (√κ − 1)/(√κ + 1)

    ValueError for κ < 1 or another method.

    >>> best_rate(9.0, "gradient_descent"), best_rate(9.0, "heavy_ball"), best_rate(4.0, "nesterov")
    (0.8, 0.5, 0.5)
    """
    if not condition_number >= 1:
        raise ValueError(f"condition_number is {condition_number}: it must be at least 1")
    root = math.sqrt(condition_number)
    rates = {
        "gradient_descent": (condition_number - 1) / (condition_number + 1),
        "heavy_ball": (root - 1) / (root + 1),
        "nesterov": 1 - 1 / root,
    }
    if method not in rates:
        raise ValueError(f"method is {method!r}: allowed: {', '.join(rates)}")
    return rates[method]


def sgd_stationary_variance(curvature: float, noise_variance: float, learning_rate: float) -> float:
    """E[e²] that SGD on ½he² comes to, with gradient noise of variance s²: ηs²/(h(2 − ηh)).

    From e ← (1 − ηh)e − ηξ: the variance V solves V = (1 − ηh)²V + η²s². Infinite from η = 2/h on.
    ValueError for h ≤ 0, s² < 0 or η ≤ 0.

    >>> sgd_stationary_variance(1.0, 3.0, 1.0), sgd_stationary_variance(2.0, 1.0, 1.0)
    (3.0, inf)
    """
    if not (curvature > 0 and noise_variance >= 0 and learning_rate > 0):
        raise ValueError(
            f"curvature = {curvature}, noise_variance = {noise_variance}, learning_rate = {learning_rate}: "
            "allowed are curvature > 0, noise_variance ≥ 0 and learning_rate > 0"
        )
    if learning_rate * curvature >= 2:
        return math.inf if noise_variance > 0 else 0.0
    return learning_rate * noise_variance / (curvature * (2 - learning_rate * curvature))


def _check_rule(learning_rate: float, momentum: float) -> None:
    if not learning_rate > 0:
        raise ValueError(f"learning_rate is {learning_rate}: it must be positive")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}: it must be in [0, 1)")


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
