"""Linear systems A v = b with a positive definite A that is known by its products alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from atml_exp.linalg import as_float64

__all__ = ["conjugate_gradient"]


def conjugate_gradient(
    operator: Callable[[Tensor], Tensor], b: Tensor, *, tolerance: float = 1e-10, max_products: int = 2000
) -> Tensor:
    """v (P,) with ‖A v − b‖ ≤ tolerance·‖b‖, in float64. operator: v ↦ A v, symmetric and positive definite.

    Hestenes & Stiefel (1952), Methods of conjugate gradients for solving linear systems; without a preconditioner.
    After P products it would be exact but for rounding; the error in the norm of A falls as
    ((√κ − 1)/(√κ + 1))^t. b = 0 gives 0.

    Raises ValueError where a direction of curvature ≤ 0 is met (A isn't positive definite), where a product isn't
    finite, and where the tolerance isn't reached.

    >>> diagonal = torch.tensor([1.0, 2.0, 4.0]).double()
    >>> conjugate_gradient(lambda v: diagonal * v, torch.ones(3))
    tensor([1.0000, 0.5000, 0.2500], dtype=torch.float64)
    """
    left = as_float64(b)
    size, found, direction = float(left.norm()), torch.zeros_like(left), left
    for _ in range(max_products):
        squared = float(left @ left)
        if squared**0.5 <= tolerance * size:
            return found
        image = as_float64(operator(direction))
        curvature = float(direction @ image)
        _require_positive(curvature, float(direction @ direction), float(image.norm()))
        step = squared / curvature
        found, left = found + step * direction, left - step * image
        direction = left + float(left @ left) / squared * direction
    raise ValueError(
        f"conjugate gradients left a residual of {float(left.norm()) / max(size, 1e-300):.1e} of b after "
        f"{max_products} products, allowed is {tolerance:g}: the matrix is ill-conditioned; allowed: more damping, "
        "or a larger max_products"
    )


def _require_positive(curvature: float, squared: float, image: float) -> None:
    if not curvature > 1e-14 * squared**0.5 * image or not curvature < float("inf"):
        raise ValueError(
            f"a direction of curvature {curvature / squared:.3g} was met: the matrix isn't positive definite, and "
            "A v = b has no solution by conjugate gradients"
        )
