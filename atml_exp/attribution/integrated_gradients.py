"""Integrated gradients: the gradient, averaged on the way from a baseline to the input."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from atml_exp.attribution.output import Target, baseline_like, input_gradient, output_of

__all__ = ["Quadrature", "completeness_gap", "integrated_gradients", "nodes_and_weights"]

Quadrature = Literal["midpoint", "gauss_legendre"]

_TOGETHER = 4096  # inputs in one forward pass


def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    baseline: Tensor | None = None,
    target: Target = 0,
    steps: int = 50,
    *,
    quadrature: Quadrature = "midpoint",
) -> Tensor:
    """(x − x′) ⊙ ∫₀¹ ∂F/∂x (x′ + α(x − x′)) dα, of x's shape; baseline x′: 0 unless given, must broadcast to x.

    Sundararajan, Taly & Yan (2017), Axiomatic attribution for deep networks, eq. 1. Complete: the entries sum to
    F(x) − F(x′). steps: gradients that stand for the integral. `midpoint`: at α = (k − ½)/m with weights 1/m, exact
    for F linear or quadratic; else the sum is off by O(1/m²) for smooth F, by O(1/m) at kinks. `gauss_legendre`:
    exact for polynomials F of degree up to 2m. Raises ValueError for steps < 1 and as `output_of` does.

    >>> class Square(nn.Module):
    ...     def forward(self, x): return x.square().sum(1)
    >>> integrated_gradients(Square(), torch.tensor([[1.0, 3.0]]), None, 0, 1)
    tensor([[1., 9.]])
    """
    with torch.no_grad():
        output_of(model, x, target)  # which refuses what can't be attributed
    start = baseline_like(x, baseline)
    alphas, weights = (values.to(x) for values in nodes_and_weights(steps, quadrature))
    way, batch = x.detach() - start, max(1, _TOGETHER // len(x))
    mean = torch.zeros_like(x)
    for a, w in zip(alphas.split(batch), weights.split(batch), strict=True):
        points = start + a.view(-1, *[1] * x.dim()) * way
        mean += torch.tensordot(w, _gradients(model, points, target), 1)
    return way * mean


def _gradients(model: nn.Module, points: Tensor, target: Target) -> Tensor:
    """Of points (m, N, *shape), in one pass."""
    if isinstance(target, Tensor) and target.dim():
        target = target.repeat(len(points))
    return input_gradient(model, points.flatten(0, 1), target).view(points.shape)


def nodes_and_weights(steps: int, quadrature: Quadrature) -> tuple[Tensor, Tensor]:
    """Where a rule of m = `steps` points looks in [0, 1] and how much each counts, (m,) float64 each.

    >>> nodes_and_weights(2, "midpoint")
    (tensor([0.2500, 0.7500], dtype=torch.float64), tensor([0.5000, 0.5000], dtype=torch.float64))
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be at least 1")
    if quadrature not in ("midpoint", "gauss_legendre"):
        raise ValueError(f"quadrature is {quadrature!r}: it must be midpoint or gauss_legendre")
    if quadrature == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return torch.from_numpy((1 + nodes) / 2), torch.from_numpy(weights / 2)
    at = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    return at, torch.full_like(at, 1 / steps)


def completeness_gap(
    model: nn.Module, x: Tensor, baseline: Tensor | None, target: Target, attribution: Tensor
) -> Tensor:
    """|Σ attribution − (F(x) − F(x′))| / |F(x) − F(x′)| for each example, (N,).

    0 for an attribution that is complete; NaN or ∞ where F(x) = F(x′).
    """
    with torch.no_grad():
        change = output_of(model, x, target) - output_of(model, baseline_like(x, baseline), target)
    return (attribution.flatten(1).sum(1) - change).abs() / change.abs()
