"""Dead units: those that are 0 whatever the input, and so neither say nor learn anything."""

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.probe import Value
from atml_exp.probes.features import layer_outputs

__all__ = ["dead_unit_fractions", "dead_units"]


def dead_unit_fractions(model: nn.Module, data: Split) -> dict[str, Value]:
    """`fraction` of all units that are dead on the whole of `data`, `max` over layers, and `by_layer` (L,)."""
    dead = _dead(model, data.x)
    each = torch.tensor([float(units.double().mean()) for units in dead.values()])
    number = sum(int(units.sum()) for units in dead.values()), sum(units.numel() for units in dead.values())
    return {"fraction": number[0] / number[1], "max": float(each.max()), "by_layer": each}


def dead_units(model: nn.Module, x: Tensor) -> dict[str, float]:
    """For each activation layer, by its name in `named_modules`, the fraction of its units dead on x (N, …).

    A unit is dead where its output is exactly 0 on *all* of x, in eval mode: no gradient then reaches its weights.
    (On a mini-batch many more are 0, which says little.) A unit is a coordinate of (N, D) outputs, a channel of
    (N, C, …) ones, which is dead where it is 0 at every place. Layers are submodules of torch.nn's activations in
    the order in which they are called; of sigmoids or tanhs practically none is ever 0.

    Lu, Shin, Su & Karniadakis (2020), Dying ReLU and initialization. Raises ValueError where x holds no example or
    the model no activation module of torch.nn.

    >>> model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    >>> _ = model[0].weight.data.copy_(torch.tensor([[1.0], [-1.0]])), model[0].bias.data.zero_()
    >>> dead_units(model, torch.tensor([[1.0], [2.0]])), dead_units(model, torch.tensor([[1.0], [-2.0]]))
    ({'1': 0.5}, {'1': 0.0})
    """
    return {name: float(dead.double().mean()) for name, dead in _dead(model, x).items()}


def _dead(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """For each activation layer which of its units (D,) are dead."""
    layers = {name: m for name, m in model.named_modules() if type(m).__module__ == nn.modules.activation.__name__}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no activation layer of torch.nn whose units could be dead")
    dead: dict[str, Tensor] = {}
    for outputs in layer_outputs(model, x, layers):
        for name, h in outputs.items():
            zero = (h == 0).transpose(0, 1).flatten(1).all(1)
            dead[name] = dead[name] & zero if name in dead else zero
    return dead
