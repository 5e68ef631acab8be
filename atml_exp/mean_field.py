"""How variances and gradients go through a wide random layer: one step of mean-field theory."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from scipy.special import erf, expit

__all__ = ["ACTIVATIONS", "Pair", "mean_field_map", "pair_of", "quadrature", "rounded"]

Pair = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""φ and φ′."""

REACH, NODES = 12.0, 400
"""Integrals over z go to ±REACH standard deviations, beyond which 1e-32 of the mass lies; NODES points a side."""


def _density(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _normal(x: np.ndarray) -> np.ndarray:
    return (1 + erf(x / np.sqrt(2))) / 2


ACTIVATIONS: Mapping[str, Pair] = {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0))),
    "gelu": (lambda x: x * _normal(x), lambda x: _normal(x) + x * _density(x)),
    "silu": (lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x))),
    "softplus": (lambda x: np.logaddexp(0, x), expit),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
}
"""By the names of `atml_exp.models.activations`, with the same constants."""


def mean_field_map(activation: Any, weight_variance: float, bias_variance: float, q: float) -> tuple[float, float]:
    """(q′, χ) of a layer of infinite width: h′ = Wφ(h) + b, W_ij ~ N(0, σ_w²/width), b ~ N(0, σ_b²), h ~ N(0, q).

        q′ = σ_w² E[φ(√q z)²] + σ_b²,   χ = σ_w² E[φ′(√q z)²],   z ~ N(0, 1)

    q′ is the variance of the next layer's preactivations, χ the factor by which a layer multiplies the mean square
    of a backpropagated gradient: gradients vanish where χ < 1 and explode where χ > 1 (Poole et al. 2016,
    Exponential expressivity in deep neural networks through transient chaos, eq. 3; Schoenholz et al. 2017, Deep
    information propagation, eq. 5). At the fixed point q* = q′(q*), χ is χ₁.

    activation: a name of `ACTIVATIONS`; or any function of a torch tensor, elementwise, whose derivative is then
    autograd's. By Gauss–Legendre quadrature on either side of 0, where kinks may lie: to 1e-12 of the value for the
    named ones up to q = 100. ValueError for an unknown name, a negative variance, or values that aren't finite.

    >>> mean_field_map("relu", 2.0, 0.0, 3.0)
    (3.0, 1.0)
    """
    if not all(np.isfinite(v) and v >= 0 for v in (weight_variance, bias_variance, q)):
        raise ValueError(
            f"weight_variance = {weight_variance}, bias_variance = {bias_variance}, q = {q}: "
            "they must be finite and not negative"
        )
    function, slope = pair_of(activation)
    z, mass = quadrature()
    x = np.sqrt(q) * z
    beside = x if q > 0 else 1e-100 * z  # at q = 0 the limit from above, where slopes may differ on both sides
    return (
        rounded(weight_variance * float(mass @ function(x) ** 2) + bias_variance),
        rounded(weight_variance * float(mass @ slope(beside) ** 2)),
    )


def rounded(value: float) -> float:
    """To 12 digits: what lies behind is the quadrature's."""
    return float(f"{value:.12g}")


@cache
def quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Points z and masses for expectations over N(0, 1), symmetric about 0."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    z, w = REACH * (x + 1) / 2, REACH * w / 2
    points = np.concatenate([-z[::-1], z])
    masses = np.concatenate([w[::-1], w]) * _density(points)
    return points, masses / masses.sum()


def pair_of(activation: Any) -> Pair:
    """φ and φ′ by name, or of a function of torch tensors; ValueError for an unknown name."""
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation = {activation!r}: allowed: {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[activation]
    return lambda x: _by_torch(activation, x)[0], lambda x: _by_torch(activation, x)[1]


def _by_torch(function: Callable[..., Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import torch  # figures draw theory without it

    points = torch.from_numpy(x).requires_grad_()
    with torch.enable_grad():
        values = function(points)
        (slopes,) = torch.autograd.grad(values.sum(), points)
    return values.detach().numpy(), slopes.numpy()
