"""How far one example moves what SGD learns, at most: the bounds of algorithmic stability.

Two training sets of n examples differ in one; both are trained from the same weights on the same stream of indices.
δ_t is the distance of the two after t steps, ε bounds |ℓ(w_T, z) − ℓ(w′_T, z)| for every z, in expectation over the
stream, and with it the generalisation gap: |E[R(w) − R_S(w)]| ≤ ε (Hardt, Recht & Singer 2016, Theorem 2.2, after
Bousquet & Elisseeff 2002).

The stream may be drawn with replacement or be an order of all examples that is drawn anew each epoch, and a step
may take the mean gradient of B examples: of a step's B the expected number that is the example in question is B/n,
and each counts 1/B. L bounds the gradient of each example's loss, β its Lipschitz constant, on all weights that are
visited and between them; for models that are linear they follow from R = max ‖x‖ alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Constants",
    "brier_constants",
    "convex_divergence",
    "log_slope",
    "logistic_constants",
    "nonconvex_bound",
    "smooth_divergence",
    "strongly_convex_bound",
    "strongly_convex_divergence",
]


class Constants(NamedTuple):
    """L and β of an example's loss, as a function of the weights."""

    lipschitz: float
    smoothness: float


def logistic_constants(radius: float) -> Constants:
    """L = R, β = R²/4: of log(1 + exp(−y⟨w, x⟩)) for ‖x‖ ≤ R, whatever w; a bias counts as an input 1 in ‖x‖.

    ValueError unless R > 0.

    >>> logistic_constants(2.0)
    Constants(lipschitz=2.0, smoothness=1.0)
    """
    _require_positive(radius=radius)
    return Constants(radius, radius**2 / 4)


def brier_constants(radius: float) -> Constants:
    """L = (8/27)R, β = 0.154…R²: of (σ(⟨w, x⟩) − y)², which isn't convex, for ‖x‖ ≤ R and y in {0, 1}.

    With s = σ(o) and y = 0 the derivatives are 2s²(1 − s), largest at s = 2/3, and 2s²(1 − s)(2 − 3s), largest in
    absolute value at s = (15 − √33)/24; y = 1 is its mirror image. ValueError unless R > 0.

    >>> [round(c, 4) for c in brier_constants(1.0)]
    [0.2963, 0.1541]
    """
    _require_positive(radius=radius)
    s = (15 - math.sqrt(33)) / 24
    return Constants(8 / 27 * radius, 2 * s**2 * (1 - s) * (2 - 3 * s) * radius**2)


def convex_divergence(rates: ArrayLike, lipschitz: float, n: int) -> np.ndarray:
    """E δ_t ≤ (2L/n) Σ_{s<t} η_s for t = 0 … T (T + 1,), of rates η (T,): convex losses, every η ≤ 2/β.

    Then a step on the same example moves two points no farther apart, and one on different examples by 2ηL at most
    (Hardt, Recht & Singer 2016, section 3.4). Times L: ε ≤ (2L²/n) Σ η. ValueError unless L, n and rates are > 0.

    >>> convex_divergence([0.1, 0.1], 1.0, 10).round(9).tolist()
    [0.0, 0.02, 0.04]
    """
    return smooth_divergence(rates, lipschitz, 0.0, n)


def strongly_convex_divergence(rates: ArrayLike, lipschitz: float, gamma: float, n: int) -> np.ndarray:
    """E δ_{t+1} ≤ (1 − η_tγ) E δ_t + 2η_tL/n, (T + 1,): losses ℓ + ½γ‖w‖², ℓ convex, every η ≤ 1/β, β of the sum.

    With constant steps (2L/(γn))(1 − (1 − ηγ)^t), below 2L/(γn) for ever: Hardt, Recht & Singer 2016, Theorem 3.9,
    whose projection keeps w where the sum is Lipschitz. It isn't needed here: the penalty's gradient is the same
    function for all examples, and drops out where they differ, so that L is that of ℓ alone.

    >>> strongly_convex_divergence([1.0, 1.0], 1.0, 0.5, 2).tolist()
    [0.0, 1.0, 1.5]
    """
    _require_positive(gamma=gamma)
    return _divergence(rates, lipschitz, n, -gamma)


def smooth_divergence(rates: ArrayLike, lipschitz: float, smoothness: float, n: int) -> np.ndarray:
    """E δ_{t+1} ≤ (1 + (1 − 1/n)η_tβ) E δ_t + 2η_tL/n, (T + 1,): losses that needn't be convex, one example a step.

    A step on the same example lengthens a distance to 1 + ηβ times itself at most, one on different examples adds
    2ηL (the recursion behind Theorem 3.12 of Hardt, Recht & Singer 2016, from its first step).

    >>> smooth_divergence([1.0, 1.0], 1.0, 1.0, 2).tolist()
    [0.0, 1.0, 2.5]
    """
    if not smoothness >= 0:
        raise ValueError(f"smoothness is {smoothness}: it must be at least 0")
    return _divergence(rates, lipschitz, n, (1 - 1 / n) * smoothness if n > 0 else smoothness)


def strongly_convex_bound(lipschitz: float, gamma: float, n: int) -> float:
    """ε ≤ 2L²/(γn) at any T: Hardt, Recht & Singer 2016, Theorem 3.9; see `strongly_convex_divergence` for L.

    >>> strongly_convex_bound(1.0, 0.1, 100)
    0.2
    """
    _require_positive(lipschitz=lipschitz, gamma=gamma, n=n)
    return 2 * lipschitz**2 / (gamma * n)


def nonconvex_bound(steps: ArrayLike, scale: float, lipschitz: float, smoothness: float, n: int) -> np.ndarray:
    """ε ≤ (1 + 1/(βc))/(n − 1) · (2cL²)^{1/(βc+1)} T^{βc/(βc+1)} for T = `steps` (…,), c = `scale`.

    Losses in [0, 1] that needn't be convex, one example a step, η_t ≤ c/t at the t-th step, never increasing.
    Hardt, Recht & Singer 2016, Theorem 3.12: with probability 1 − t₀/n the example isn't met in the first t₀ steps,
    when steps are large, and t₀ is then chosen best. ValueError unless c, L and β are > 0, n ≥ 2.

    >>> nonconvex_bound([1, 4], 1.0, 0.5, 1.0, 3).round(6).tolist()
    [0.707107, 1.414214]
    """
    _require_positive(scale=scale, lipschitz=lipschitz, smoothness=smoothness)
    if n < 2:
        raise ValueError(f"n is {n}: it must be at least 2")
    q = smoothness * scale
    first = (1 + 1 / q) / (n - 1) * (2 * scale * lipschitz**2) ** (1 / (q + 1))
    return np.asarray(first * np.asarray(steps, dtype=float) ** (q / (q + 1)))


def log_slope(x: ArrayLike, y: ArrayLike) -> float:
    """The slope of log y against log x, by least squares. ValueError for values ≤ 0 or fewer than two x.

    >>> round(log_slope([1, 2, 4], [8, 4, 2]), 12)
    -1.0
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(np.unique(a)) < 2 or not ((a > 0).all() and (b > 0).all()):
        raise ValueError(f"a slope needs two different x, and all of x and y > 0; got {a.tolist()}, {b.tolist()}")
    return float(np.polyfit(np.log(a), np.log(b), 1)[0])


def _divergence(rates: ArrayLike, lipschitz: float, n: int, expansion: float) -> np.ndarray:
    eta = np.asarray(rates, dtype=float)
    _require_positive(lipschitz=lipschitz, n=n)
    if eta.ndim != 1 or not (eta > 0).all():
        raise ValueError("rates must be (T,), all of them positive")
    found = np.zeros(len(eta) + 1)
    for t, rate in enumerate(eta):
        found[t + 1] = (1 + rate * expansion) * found[t] + 2 * rate * lipschitz / n
    return found


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}: it must be positive")
