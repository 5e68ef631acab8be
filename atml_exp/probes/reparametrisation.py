"""Sharpness of one function at many weights: rescaling the layers of a ReLU net changes nothing it computes."""

import copy

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import LossFn
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.adaptive_sharpness import adaptive_sharpness
from atml_exp.probes.features import predict
from atml_exp.probes.layer_sharpness import layer_sharpness
from atml_exp.probes.sam_sharpness import sam_sharpness
from atml_exp.probes.sharpness import sharpness
from atml_exp.probes.spectrum import subset

__all__ = ["reparametrisation", "rescaled"]


def reparametrisation(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    largest: Positive = 30.0,
    num_scales: PositiveInt = 7,
    rho: Positive = 0.05,
    adaptive_rho: Positive = 0.5,
    num_iterations: PositiveInt = 20,
    num_examples: PositiveInt | None = 500,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Measures of sharpness of (αW₁, αb₁, W₂/α) for several α, in float64: see `rescaled`.

    Dinh, Pascanu, Bengio & Bengio (2017), Sharp minima can generalize for deep nets, §4: a ReLU net computes the
    same function for each α > 0, while the first layer's block of the Hessian is divided by α² and that of the
    second's weights multiplied by it, so that λ_max can be made as large as one likes.

    Arrays (num_scales,): scales, α from 1/largest to largest, evenly spaced in log α; output_change, the largest
    change of an output relative to the largest output; top, λ_max; first_layer, λ_max of that layer's block; sam
    and adaptive: the rises of `sam_sharpness` with `rho` and of `adaptive_sharpness` with `adaptive_rho`, each by
    `num_iterations` steps of ascent. On `num_examples` of `data`, drawn by `seed`; None: all.

    Raises ValueError as `rescaled` does, and where outputs change by more than 10⁻⁶ of the largest: then the layers
    aren't joined by a positively homogeneous activation such as ReLU.
    """
    double = copy.deepcopy(model).double().eval()
    chosen = subset(data, num_examples, seed).to(data.x.device, torch.float64)
    scales = torch.logspace(-1, 1, num_scales, largest, dtype=torch.float64)
    nets = [rescaled(double, alpha) for alpha in scales.tolist()]
    before = predict(double, chosen.x)
    changes = [((predict(net, chosen.x) - before).abs().max() / before.abs().max()).item() for net in nets]
    if not max(changes) <= 1e-6:
        raise ValueError(
            f"rescaling changes an output by {max(changes):.2g} of the largest: the first two layers must be "
            "joined by a positively homogeneous activation (ReLU) and nothing else, such as a normalisation"
        )
    first = next(n for n, m in double.named_modules() if _has_weight(m))
    ascent = {"num_iterations": num_iterations, "seed": seed}
    found: dict[str, list[Value]] = {
        "output_change": list(changes),
        "top": [sharpness(net, chosen, loss=loss, tolerance=1e-6)["top"] for net in nets],
        "first_layer": [layer_sharpness(net, chosen, loss=loss)[first] for net in nets],
        "sam": [sam_sharpness(net, chosen, loss=loss, rho=rho, **ascent)["rise"] for net in nets],
        "adaptive": [
            adaptive_sharpness(net, chosen, loss=loss, rho=adaptive_rho, **ascent)["rise"] for net in nets
        ],
    }
    return {"scales": scales, **{name: torch.tensor(v, dtype=torch.float64) for name, v in found.items()}}


def rescaled(model: nn.Module, alpha: float) -> nn.Module:
    """A copy with weight and bias of the first linear or convolutional layer times α, the next one's weight over α.

    Raises ValueError where α isn't positive or the model has fewer than two such layers.

    >>> model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> x = torch.tensor([[1.0], [-2.0]])
    >>> torch.allclose(rescaled(model, 4.0)(x), model(x))
    True
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}: it must be positive")
    copied = copy.deepcopy(model)
    layers = [m for m in copied.modules() if _has_weight(m)]
    if len(layers) < 2:
        raise ValueError(f"the model has {len(layers)} linear or convolutional layers: rescaling takes 2 at least")
    first, second = layers[:2]
    with torch.no_grad():
        _tensor(first.weight).mul_(alpha)
        if first.bias is not None:
            _tensor(first.bias).mul_(alpha)
        _tensor(second.weight).div_(alpha)
    return copied


def _has_weight(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)


def _tensor(parameter: Tensor | nn.Module) -> Tensor:
    assert isinstance(parameter, Tensor)
    return parameter
