"""Sharpness: the largest eigenvalues of the loss's Hessian, the curvature that bounds a stable step size."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import Hessian, TopEigenvalues, top_eigenvalues
from atml_exp.linalg_each import HessianOfEach, top_eigenvalues_of_each
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, over_replicas
from atml_exp.probes.features import evaluation_mode

__all__ = ["hessian_top_eigenvalues", "sharpness"]

LossFn = Callable[[Tensor, Tensor], Tensor]


def _of_each(
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Sequence[Split],
    *,
    loss: LossFn = cross_entropy,
    k: int = 1,
    tolerance: float = 1e-8,
    max_iterations: int = 300,
    seed: int = 0,
    chunk_size: int | None = None,
) -> list[Mapping[str, Value] | None]:
    """As many replicas at once as memory is set aside for; None for those that are to be taken by themselves."""
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    together = _together(len(data[0]), weights, data[0].x.device.type)
    if together < 2 or chunk_size is not None or not 1 <= k <= weights:
        return [None] * len(data)
    start = _start(k, weights, seed)
    found: list[TopEigenvalues | None] = []
    for first in range(0, len(data), together):
        some = slice(first, first + together)
        part = {name: tensor[some] for name, tensor in state.items()}
        hessians = HessianOfEach(model, loss, part, [d.x for d in data[some]], [d.y for d in data[some]])
        starts = start.to(part[next(iter(part))].device).expand(len(data[some]), -1, -1)
        products = max(k, max_iterations)
        found += top_eigenvalues_of_each(hessians, starts, tolerance=tolerance, max_products=products)
    return [None if top is None else _values(top, k) for top in found]


def _together(examples: int, weights: int, device: str) -> int:
    """How many replicas to take at once, within some 100 MB. On a CPU one where a product is more than overhead: a
    million examples × weights, found by timing, is where a stack of replicas begins to leave the cache.
    """
    if device == "cpu" and examples * weights > 1_000_000:
        return 1
    return min(65_536 // examples, 400_000 // weights)


@over_replicas(_of_each)
def sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    k: PositiveInt = 1,
    tolerance: Positive = 1e-8,
    max_iterations: PositiveInt = 300,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """λ_max of ∇²L for the mean loss L over all of `data`, the model in eval mode.

        λ_max = max_{‖v‖ = 1} vᵀ∇²L v

    Gradient descent with step size η is stable on a quadratic while λ_max < 2/η (Cohen et al. 2021, Gradient
    descent on neural networks typically occurs at the edge of stability).

    Returns `top`, the algebraically largest eigenvalue (not the one largest in magnitude), `residual`,
    ‖Hv − λv‖ for its unit vector, and with k > 1 `eigenvalues` (k,), descending. The options are those of
    `hessian_top_eigenvalues`; where `max_iterations` doesn't suffice, the residual says so.
    """
    with evaluation_mode(model):
        hessian = Hessian(model, loss, data.x, data.y, chunk_size=chunk_size)
        found = _top(hessian, k, tolerance, max_iterations, seed)
    return _values(found, k)


def _values(found: TopEigenvalues, k: int) -> dict[str, Value]:
    scalars: dict[str, Value] = {"top": found.values[0].item(), "residual": found.residuals[0].item()}
    return scalars | ({"eigenvalues": found.values} if k > 1 else {})


def hessian_top_eigenvalues(
    model: nn.Module,
    loss_fn: LossFn,
    x: Tensor,
    y: Tensor,
    k: int,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 300,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Tensor:
    """The k algebraically largest eigenvalues (k,), descending, of the Hessian of loss_fn(model(x), y).

    With respect to all parameters that require gradients, counted with multiplicity, in their dtype. The model
    is used in the mode that it is in (call `model.eval()` for the usual convention) and is left untouched.

    loss_fn: (outputs, y) → mean over examples, scalar.
    tolerance: error of each eigenvalue relative to its magnitude, but not below the rounding of the parameters'
        dtype: about 10⁻⁶ λ_max in float32.
    max_iterations: Hessian–vector products at most; a RuntimeWarning says when they don't suffice.
    seed: of the random start vectors. chunk_size: see `atml_exp.linalg.Hessian`.
    Raises ValueError if k isn't between 1 and the number of parameters, and where the Hessian isn't defined
    (see `atml_exp.linalg.Hessian`).

    >>> model = nn.Linear(2, 1, bias=False)
    >>> x, y = torch.diag(torch.tensor([2.0, 4.0])), torch.zeros(2, 1)
    >>> hessian_top_eigenvalues(model, lambda o, y: (o - y).square().sum() / (2 * len(y)), x, y, 2)
    tensor([8., 2.])
    """
    hessian = Hessian(model, loss_fn, x, y, chunk_size=chunk_size)
    found = _top(hessian, k, tolerance, max_iterations, seed)
    if not found.converged:
        warnings.warn(
            f"after {found.products} Hessian–vector products the eigenvalues are known to "
            f"{found.errors.max():.1e} only: raise max_iterations",
            RuntimeWarning,
            stacklevel=2,
        )
    return found.values.to(hessian.dtype).to(hessian.device)


def _top(hessian: Hessian, k: int, tolerance: float, max_iterations: int, seed: int) -> TopEigenvalues:
    if not 1 <= k <= hessian.size:
        raise ValueError(f"k is {k}: it must be between 1 and the number of parameters, {hessian.size}")
    start = _start(k, hessian.size, seed).to(hessian.home)
    return top_eigenvalues(hessian, start, tolerance=tolerance, max_products=max(k, max_iterations))


def _start(k: int, size: int, seed: int) -> Tensor:
    """(k, size) float64, the same for every replica, so that grouping changes nothing."""
    return torch.randn(k, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
