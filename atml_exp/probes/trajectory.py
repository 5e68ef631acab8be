"""Trajectory: the weights themselves, step by step, for quantities that are functions of where training went."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.layout import Layout
from atml_exp.probe import Value, over_replicas
from atml_exp.projection import project

__all__ = ["Precision", "stored", "trajectory"]

Precision = Literal["exact", "float32"]


def _of_each(
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Sequence[Split],
    *,
    precision: Precision = "exact",
    dimension: int | None = None,
    seed: int = 0,
) -> list[dict[str, Value]]:
    weights = torch.cat([state[name].detach().flatten(1) for name in Layout.of(model).names], 1)
    return [{"weights": row} for row in stored(weights, precision, dimension, seed)]


@over_replicas(_of_each)
def trajectory(
    model: nn.Module,
    data: Split,
    *,
    precision: Precision = "exact",
    dimension: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """The trainable parameters as one vector, `weights` (P,), in the order of named_parameters.

    Exactly as they are by default. Where memory asks for it: precision `float32` halves what a float64 training
    takes; `dimension` d keeps d numbers in place of P, a random projection drawn by `seed`, the same one at each
    step and for each model. The probe `projection_distortion` says what that costs.

    Raises ValueError if the model has nothing to train, or fewer than d parameters. `data` isn't looked at.

    >>> layer = nn.Linear(2, 1)
    >>> torch.equal(trajectory(layer, None)["weights"], torch.cat([layer.weight[0], layer.bias]))
    True
    """
    weights = Layout.of(model).vector(dict(model.named_parameters()))
    return {"weights": stored(weights, precision, dimension, seed)}


def stored(weights: Tensor, precision: Precision, dimension: int | None, seed: int) -> Tensor:
    """What is kept of weights (…, P): (…, P), or (…, d) of a projection."""
    kept = weights if dimension is None else project(weights, dimension, seed)
    return kept if precision == "exact" else kept.float()
