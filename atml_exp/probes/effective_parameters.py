"""Effective number of parameters: how many directions the data have determined."""

import math

from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import LossFn
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode
from atml_exp.probes.spectrum import hessian_spectrum

__all__ = ["effective_number", "effective_parameters"]


def effective_parameters(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    alpha: Positive = 1e-3,
    num_vectors: PositiveInt = 8,
    num_iterations: PositiveInt = 30,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """N_eff(α) = Σ_i λ_i/(λ_i + α) over the eigenvalues λ_i of ∇²L, negative ones as 0; between 0 and P.

    MacKay (1992), Bayesian interpolation, eq. 4.9; of nets, where it falls as they get wider, while P grows:
    Maddox, Benton & Wilson (2020), Rethinking parameter counting in deep models. L: the mean loss over `data`, in
    eval mode. alpha: the curvature below which a direction counts as undetermined; with a penalty ½α‖w‖² (weight
    decay α) these are the degrees of freedom of ridge regression.

    By stochastic Lanczos quadrature (see `hessian_spectrum`), exact where num_vectors · num_iterations reaches P
    or the number of directions with any curvature at all, as where examples are few. Returns `effective`,
    `num_parameters` P, and `fraction`, their quotient. Raises ValueError as `hessian_spectrum` does.
    """
    with evaluation_mode(model):
        found = hessian_spectrum(
            model,
            loss,
            data.x,
            data.y,
            1,
            num_vectors=num_vectors,
            num_iterations=num_iterations,
            max_iterations=num_iterations,
            seed=seed,
            chunk_size=chunk_size,
        )
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shares = _shares(found.nodes, alpha)
    exhausted = len(shares) < min(size, num_vectors * num_iterations)  # then the nodes are all eigenvalues but 0
    effective = float(shares.sum() if exhausted else size * (found.weights @ shares))
    return {"effective": effective, "num_parameters": float(size), "fraction": effective / size}


def effective_number(eigenvalues: Tensor, alpha: float) -> float:
    """Σ_i λ_i/(λ_i + α), negative eigenvalues as 0. ValueError unless α > 0.

    >>> import torch
    >>> effective_number(torch.tensor([1.0, 1.0, 0.0]), 1.0)
    1.0
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be a positive number; got {alpha}")
    return float(_shares(eigenvalues.double(), alpha).sum())


def _shares(eigenvalues: Tensor, alpha: float) -> Tensor:
    positive = eigenvalues.clamp(min=0)
    return positive / (positive + alpha)
