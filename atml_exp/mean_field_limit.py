"""What many wide random layers do to signals: fixed points, correlations, criticality, depth scales, isometry."""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from atml_exp.mean_field import REACH, mean_field_map, pair_of, quadrature, rounded

__all__ = [
    "Signals",
    "correlation_map",
    "correlation_slope",
    "critical_point",
    "depth_scales",
    "fixed_correlation",
    "fixed_variance",
    "jacobian_variance",
    "propagate",
]

SMALLEST, LARGEST, RATIO = 1e-12, 1e8, 1.1
"""Variances between which a fixed point is searched, and the ratio of neighbours."""

RADII, ANGLES = 160, 48
"""Points of the quadrature over pairs: along a ray, and in each of four sectors."""


class Signals(NamedTuple):
    """Of the preactivations of layers 1 … L, each (L,): variance, correlation of two inputs, χ to the next."""

    q: np.ndarray
    c: np.ndarray
    chi: np.ndarray


def fixed_variance(activation: Any, weight_variance: float, bias_variance: float, start: float = 1.0) -> float:
    """q* = q′(q*), which the variance of preactivations comes to from `start` > 0; it may be 0 or infinity.

    The map q ↦ q′ of `mean_field_map` rises for all its activations, so that q goes monotonically to the next fixed
    point, found in steps of a tenth. Below 1e-12 is 0, beyond 1e8 infinite. ValueError for start ≤ 0, and as
    `mean_field_map`.

    >>> fixed_variance("relu", 1.0, 0.5), fixed_variance("relu", 2.0, 0.0, 3.0), fixed_variance("relu", 3.0, 0.0)
    (1.0, 3.0, inf)
    """
    if not (np.isfinite(start) and start > 0):
        raise ValueError(f"start = {start}: it must be positive and finite")

    def growth(q: float) -> float:
        return mean_field_map(activation, weight_variance, bias_variance, q)[0] - q

    if abs(growth(start)) <= 1e-11 * start:
        return start
    factor = RATIO if growth(start) > 0 else 1 / RATIO
    near, sign = start, math.copysign(1, growth(start))
    while SMALLEST <= near <= LARGEST:
        far = near * factor
        if sign * growth(far) <= 0:
            return rounded(brentq(growth, near, far, xtol=1e-15, rtol=1e-14))
        near = far
    return math.inf if sign > 0 else 0.0


def correlation_map(
    activation: Any, weight_variance: float, bias_variance: float, c: float, q: float = 1.0
) -> float:
    """c′, a layer of infinite width later, of two inputs whose preactivations have variance q and correlation c.

        c′ = (σ_w² E[φ(u₁) φ(u₂)] + σ_b²)/q′,   u₁ = √q z₁, u₂ = √q (c z₁ + √(1 − c²) z₂),   z ~ N(0, I)

    With q = q* that is the c-map of Poole et al. (2016), Exponential expressivity in deep neural networks through
    transient chaos; c = 1 is always a fixed point. Of ReLU without biases it is the arc-cosine kernel
    (√(1 − c²) + c(π − arccos c))/π (Cho & Saul 2009). Integrated in polar coordinates by sectors between the lines
    on which u₁ or u₂ is 0, where kinks may lie. ValueError for c outside [−1, 1], q ≤ 0, a c′ of 0/0, and as
    `mean_field_map`.

    >>> round(correlation_map("relu", 2.0, 0.0, 0.0) * math.pi, 9), correlation_map("identity", 1.0, 1.0, 0.0)
    (1.0, 0.5)
    """
    function, _ = _checked(activation, c, q)
    after, _ = mean_field_map(activation, weight_variance, bias_variance, q)
    if not after > 0:
        raise ValueError("q′ is 0: preactivations that are all 0 have no correlation")
    value = weight_variance * _of_pair(function, c, q) + bias_variance
    return min(1.0, rounded(value / after))


def correlation_slope(
    activation: Any, weight_variance: float, bias_variance: float, c: float, q: float = 1.0
) -> float:
    """dc′/dc = σ_w² (q/q′) E[φ′(u₁) φ′(u₂)]; at q = q* and c = 1 it is χ₁. Arguments as `correlation_map`.

    >>> round(correlation_slope("relu", 2.0, 0.0, 0.0), 9), round(correlation_slope("relu", 2.0, 0.0, 1.0), 9)
    (0.5, 1.0)
    """
    _, slope = _checked(activation, c, q)
    after, _ = mean_field_map(activation, weight_variance, bias_variance, q)
    return rounded(weight_variance * q / after * _of_pair(slope, c, q)) if after > 0 else 0.0


def fixed_correlation(activation: Any, weight_variance: float, bias_variance: float, q: float) -> float:
    """c* ≥ 0, the stable fixed point of the correlation map at a variance q (q*, as a rule).

    The map is a power series in c with coefficients that aren't negative, so on [0, 1] it is convex: where its
    slope at 1 is at most 1, all inputs end alike, c* = 1 (ordered); otherwise there is one c* < 1 (chaotic).

    >>> fixed_correlation("tanh", 3.0, 0.0, 1.0), fixed_correlation("relu", 2.0, 0.0, 1.0)
    (0.0, 1.0)
    """
    arguments = (activation, weight_variance, bias_variance)
    if correlation_slope(*arguments, 1.0, q) <= 1 + 1e-9:
        return 1.0

    def rise(c: float) -> float:
        return correlation_map(*arguments, c, q) - c

    return 0.0 if rise(0.0) <= 1e-12 else rounded(brentq(rise, 0.0, 1 - 1e-7, xtol=1e-13))


def critical_point(activation: Any, q: float) -> tuple[float, float]:
    """(σ_w², σ_b²) at which q is a fixed point and χ₁ = 1: neither vanishing nor exploding gradients.

    σ_w² = 1/E[φ′(√q z)²] and σ_b² = q − σ_w² E[φ(√q z)²]; as q goes from 0 on, that draws the critical line between
    order and chaos (Schoenholz et al. 2017, Deep information propagation). Of ReLU it is one point, (2, 0) (He
    et al. 2015). ValueError where it would need σ_b² < 0 (sigmoid), and as `mean_field_map`.

    >>> critical_point("relu", 0.7), critical_point("tanh", 0.0)
    ((2.0, 0.0), (1.0, 0.0))
    """
    square, slope = mean_field_map(activation, 1.0, 0.0, q)
    if not slope > 0:
        raise ValueError(f"activation = {activation!r}: its slope is 0, so no weights make it critical")
    bias = q - square / slope
    if bias < -1e-10 * max(q, square / slope):
        raise ValueError(f"activation = {activation!r}, q = {q}: χ₁ = 1 needs a bias variance of {bias:.4g} < 0")
    return rounded(1 / slope), rounded(max(bias, 0.0)) if bias > 1e-10 * q else 0.0


def depth_scales(activation: Any, weight_variance: float, bias_variance: float) -> tuple[float, float]:
    """(ξ_q, ξ_c), in layers: |q_l − q*| falls as exp(−l/ξ_q), |c_l − c*| as exp(−l/ξ_c); infinite where critical.

        ξ_q = −1/log(dq′/dq at q*),   ξ_c = −1/log(dc′/dc at c*)

    Schoenholz et al. (2017), with dq′/dq = χ₁ + σ_w² E[φ″φ]; by Stein's lemma that is σ_w² E[φ φ′ z]/√q, which
    kinks don't disturb. ValueError where q* from 1 on is 0 or infinite.

    >>> [round(1 / math.exp(1 / scale), 9) for scale in depth_scales("relu", 1.0, 0.5)]
    [0.5, 0.5]
    """
    q = fixed_variance(activation, weight_variance, bias_variance)
    if not 0 < q < math.inf:
        raise ValueError(f"q* = {q}: there are depth scales where it is positive and finite")
    function, slope = pair_of(activation)
    z, mass = quadrature()
    x = math.sqrt(q) * z
    of_variance = weight_variance * float(mass @ (function(x) * slope(x) * z)) / math.sqrt(q)
    c = fixed_correlation(activation, weight_variance, bias_variance, q)
    return _scale(of_variance), _scale(correlation_slope(activation, weight_variance, bias_variance, c, q))


def propagate(
    activation: Any, weight_variance: float, bias_variance: float, depth: int, q: float = 1.0, c: float = 1.0
) -> Signals:
    """Preactivations of layers 1 … depth, from two inputs with mean square q each and cosine c.

    The first layer sees the inputs themselves: q₁ = σ_w² q + σ_b², c₁ = (σ_w² c q + σ_b²)/q₁; q_{l+1} and c_{l+1}
    then come by `mean_field_map` and `correlation_map`; χ_l is what multiplies mean squares of gradients from
    layer l + 1 to l. ValueError for depth < 1, and as those two.

    >>> propagate("relu", 2.0, 0.0, 3).q.tolist()
    [2.0, 2.0, 2.0]
    """
    if depth < 1:
        raise ValueError(f"depth = {depth}: it must be at least 1")
    _checked(activation, c, q)
    first = weight_variance * q + bias_variance
    rows, at = [], (first, (weight_variance * c * q + bias_variance) / first)
    for _ in range(depth):
        after, chi = mean_field_map(activation, weight_variance, bias_variance, at[0])
        rows.append((*at, chi))
        at = after, 1.0 if at[1] >= 1 else correlation_map(activation, weight_variance, bias_variance, at[1], at[0])
    return Signals(*np.array(rows).T)


def jacobian_variance(activation: Any, q: float, *, orthogonal: bool) -> float:
    """What a layer adds to the variance of the squared singular values of a Jacobian whose mean square is 1.

    μ₂/μ₁² − 1 − s₁ with μ_k = E[φ′(√q z)^{2k}], s₁ = 0 for orthogonal and −1 for Gaussian weights: Pennington,
    Schoenholz & Ganguli (2017), Resurrecting the sigmoid in deep learning through dynamical isometry, for one
    layer; over independent layers of infinite width it adds up. 0 is isometry: linear or, in the limit q → 0,
    tanh nets with orthogonal weights; of ReLU it is 1 or 2 at any q. ValueError as `mean_field_map`.

    >>> [jacobian_variance(f, 1.0, orthogonal=o) for f in ("identity", "relu") for o in (True, False)]
    [0.0, 1.0, 1.0, 2.0]
    """
    mean_field_map(activation, 1.0, 0.0, q)  # which refuses what isn't finite
    _, slope = pair_of(activation)
    z, mass = quadrature()
    squares = slope((math.sqrt(q) if q > 0 else 1e-100) * z) ** 2
    return rounded(float(mass @ squares**2) / float(mass @ squares) ** 2 - (1 if orthogonal else 0))


def _scale(slope: float) -> float:
    """−1/log of a factor a layer; rounding of 1 is 1."""
    if slope <= 0:
        return 0.0
    return math.inf if abs(slope - 1) < 1e-9 else -1 / math.log(slope)


def _checked(activation: Any, c: float, q: float) -> Any:
    if not (-1 <= c <= 1 and np.isfinite(q) and q > 0):
        raise ValueError(f"c = {c}, q = {q}: allowed are −1 ≤ c ≤ 1 and q > 0, finite")
    return pair_of(activation)


def _of_pair(function: Any, c: float, q: float) -> float:
    """E[f(√q u₁) f(√q u₂)], u standard normal with correlation c."""
    between = math.acos(c)
    r, radial = _radii()
    edges = np.sort(np.array([-math.pi / 2, between - math.pi / 2, math.pi / 2, between + math.pi / 2]))
    edges = np.append(edges, edges[0] + 2 * math.pi)
    x, w = _legendre(ANGLES)
    halves = np.diff(edges)[:, None] / 2
    angle, mass = ((edges[:-1, None] + halves * (x + 1)).ravel(), (halves * w).ravel() / (2 * math.pi))
    scaled = math.sqrt(q) * r[:, None]
    values = function(scaled * np.cos(angle)) * function(scaled * np.cos(angle - between))
    return float(radial @ values @ mass)


@cache
def _legendre(number: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(number)


@cache
def _radii() -> tuple[np.ndarray, np.ndarray]:
    """Points r and masses of the density r exp(−r²/2), closer together near 0, where steep functions bend."""
    t, w = _legendre(RADII)
    u = (t + 1) / 2
    r = REACH * u**2
    masses = REACH * u * w * r * np.exp(-(r**2) / 2)
    return r, masses / masses.sum()
