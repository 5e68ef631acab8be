"""Gradient–Hessian alignment: how much of the gradient lies along the few directions of high curvature."""

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import Hessian, LossFn, as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode, predict
from atml_exp.probes.spectrum import operator_spectrum

__all__ = ["gradient_alignment", "share_in_subspace"]


def gradient_alignment(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    k: PositiveInt | None = None,
    tolerance: Positive = 1e-6,
    max_iterations: PositiveInt = 60,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """How the gradient g of the mean loss L over `data` lies to its Hessian H = ∇²L, the model in eval mode.

    Gur-Ari, Roberts & Dyer (2018), Gradient descent happens in a tiny subspace: after a short while most of the
    gradient lies in the span of the top k eigenvectors of H, k the number of classes.

    cosine: gᵀHg/(‖g‖‖Hg‖), 1 where g is an eigenvector of a positive eigenvalue; left out where Hg = 0.
    share: ‖V g‖²/‖g‖², V the top k unit eigenvectors; chance: k/P, the mean of that of a random direction.
    curvature: gᵀHg/‖g‖². top: λ_max. converged: whether the eigenvalues are within `tolerance`, relative; the
    eigenvectors' angles are known to about its root.
    k: null for as many as the model has outputs; at most the number P of parameters.

    Raises ValueError where the gradient is 0, so that it has no direction, and where there is no Hessian.
    """
    with evaluation_mode(model):
        hessian = Hessian(model, loss, data.x, data.y, chunk_size=chunk_size)
        g = as_float64(hessian.gradient())
        if not float(g.norm()) > 0:
            raise ValueError("the gradient is 0: it has no direction")
        k = min(k or predict(model, data.x[:1]).numel(), hessian.size)
        start = torch.randn(k, hessian.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        found = operator_spectrum(
            hessian.products,
            start.to(hessian.home),
            k,
            num_iterations=1,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        image = as_float64(hessian(g))
    values: dict[str, Value] = {"cosine": (g @ image / (g.norm() * image.norm())).item()} if image.any() else {}
    return values | {
        "share": share_in_subspace(g, found.eigenvectors),
        "chance": k / hessian.size,
        "curvature": (g @ image / (g @ g)).item(),
        "top": found.eigenvalues[0].item(),
        "converged": found.converged,
    }


def share_in_subspace(vector: Tensor, basis: Tensor) -> float:
    """‖V v‖²/‖v‖², in [0, 1], of a vector v (P,) and the orthonormal rows V (k, P) of a basis.

    >>> share_in_subspace(torch.tensor([3.0, 4.0, 0.0]), torch.eye(3)[:1])
    0.36
    """
    v, rows = as_float64(vector), as_float64(basis)
    return round(((rows @ v).square().sum() / (v @ v)).item(), 15)
