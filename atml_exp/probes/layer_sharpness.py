"""Sharpness of each layer: the largest eigenvalue of the Hessian's diagonal block of its parameters."""

from collections.abc import Mapping

import torch
from torch import nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import Hessian, LossFn, top_eigenvalues
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["layer_sharpness", "layers"]


def layer_sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    tolerance: Positive = 1e-6,
    max_iterations: PositiveInt = 300,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """λ_max of ∂²L/∂w_l² for each layer l, L the mean loss over `data`, the model in eval mode.

    A layer is a module that has parameters of its own, weight and bias together: see `layers`. Returns a value
    under each layer's name. By interlacing none exceeds λ_max of the whole Hessian. In a ReLU net
    (W₁, W₂) → (αW₁, W₂/α) divides the first layer's block by α² and multiplies the second's by it; the function
    stays (Dinh, Pascanu, Bengio & Bengio 2017, Sharp minima can generalize for deep nets).
    """
    found = layers(model)
    if not found:
        raise ValueError("the model has no trainable parameter (requires_grad), so it has no Hessian")
    with evaluation_mode(model):
        hessians = {
            layer: Hessian(model, loss, data.x, data.y, chunk_size=chunk_size, names=names)
            for layer, names in found.items()
        }
        return {layer: _top(h, tolerance, max_iterations, seed) for layer, h in hessians.items()}


def _top(hessian: Hessian, tolerance: float, max_iterations: int, seed: int) -> float:
    start = torch.randn(1, hessian.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = top_eigenvalues(hessian, start.to(hessian.home), tolerance=tolerance, max_products=max_iterations)
    return found.values.item()


def layers(model: nn.Module) -> Mapping[str, list[str]]:
    """The names of the trainable parameters of each module that has some of its own; `self` for the model itself.

    >>> dict(layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False))))
    {'0': ['0.weight', '0.bias'], '2': ['2.weight']}
    """
    found: dict[str, list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found.setdefault(name.rpartition(".")[0] or "self", []).append(name)
    return found
