"""Directional curvature: second derivative of the loss along the gradient, the weights and random directions."""

import math

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.layout import Layout
from atml_exp.linalg import Hessian, LossFn, as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["curvature_along", "directional_curvature"]


def directional_curvature(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_random: PositiveInt = 10,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """vᵀ∇²L v/‖v‖² of some directions v, L the mean loss over `data`, the model in eval mode.

    gradient: v = ∇L, the way that the next step of gradient descent goes. weights: v = w, away from the origin.
    random: mean over `num_random` Gaussian directions, an estimate of tr ∇²L/P, with `random_standard_error` (left
    out for one). `gradient` and `weights` are left out where the vector is 0. All lie between the extreme
    eigenvalues of ∇²L.
    """
    with evaluation_mode(model):
        hessian = Hessian(model, loss, data.x, data.y, chunk_size=chunk_size)
        named = {
            "gradient": as_float64(hessian.gradient()),
            "weights": as_float64(Layout.of(model).vector(dict(model.named_parameters()))),
        }
        named = {name: v for name, v in named.items() if bool(v.any())}
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(num_random, hessian.size, generator=generator, dtype=torch.float64)
        found = curvature_along(hessian, torch.stack([*named.values(), *random.to(hessian.home)]))
    at_random = found[len(named) :]
    values: dict[str, Value] = {name: found[i].item() for i, name in enumerate(named)}
    values["random"] = at_random.mean().item()
    if num_random > 1:
        values["random_standard_error"] = at_random.std().item() / math.sqrt(num_random)
    return values


def curvature_along(hessian: Hessian, directions: Tensor) -> Tensor:
    """vᵀHv/‖v‖² for each row v of directions (K, P); (K,) float64 on the CPU. ValueError for a row that is 0.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> x = torch.diag(torch.tensor([2.0, 4.0]))
    >>> hessian = Hessian(model, lambda o, y: o.square().mean() / 2, x, torch.ones(2))
    >>> curvature_along(hessian, torch.tensor([[3.0, 0.0], [1.0, 1.0]]))
    tensor([2., 5.], dtype=torch.float64)
    """
    rows = as_float64(directions)
    squares = rows.square().sum(1)
    if not bool((squares > 0).all()):
        raise ValueError("a direction must be finite and not 0")
    return ((rows * as_float64(hessian.products(rows))).sum(1) / squares).cpu()
