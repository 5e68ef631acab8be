"""Grad-CAM: the maps of a convolutional layer, weighted by their mean gradients."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from atml_exp.attribution.output import Target, output_of

__all__ = ["grad_cam"]


def grad_cam(
    model: nn.Module, x: Tensor, target: Target, *, layer: str | None = None, positive: bool = True
) -> Tensor:
    """ReLU(Σ_k α_k A_k), α_k the mean over places of ∂F/∂A_k, of x's shape (N, C, H, W), the same in each channel.

    Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra (2017), Grad-CAM, eq. 1 and 2. layer: the name of a submodule
    with outputs A (N, K, h, w); None: the last convolution, before its activation. Upsampled bilinearly from h × w
    (corners not aligned). positive: without it the ReLU is left out. Of maps whose mean goes into a linear layer
    it is the class activation map, up to the number of places (their section 3.1).
    Raises ValueError for a model without nn.Conv2d, a layer that isn't there, or one whose outputs are no maps.
    """
    name, module = _layer(model, layer)
    if x.dim() != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}: Grad-CAM needs images (N, C, H, W)")
    heard: list[Tensor] = []
    handle = module.register_forward_hook(lambda module, inputs, output: heard.append(output))
    try:
        with torch.enable_grad():
            total = output_of(model, x.detach().clone().requires_grad_(), target).sum()
    finally:
        handle.remove()
    if not heard or heard[-1].dim() != 4:
        raise ValueError(f"layer {name!r} gives no maps (N, K, h, w): choose a convolutional layer")
    (gradient,) = torch.autograd.grad(total, heard[-1], materialize_grads=True)
    weighted = (gradient.mean((2, 3), keepdim=True) * heard[-1].detach()).sum(1, keepdim=True)
    maps = weighted.relu() if positive else weighted
    return interpolate(maps, size=x.shape[2:], mode="bilinear", align_corners=False).expand(x.shape).contiguous()


def _layer(model: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    modules = dict(model.named_modules())
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError(f"{type(model).__name__} has no convolution (nn.Conv2d): Grad-CAM needs one")
    name = convolutions[-1] if layer is None else layer
    if name not in modules:
        raise ValueError(f"layer is {name!r}: the model's convolutions are {', '.join(convolutions)}")
    return name, modules[name]
