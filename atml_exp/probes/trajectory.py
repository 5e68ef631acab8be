"""Trajectory: the weights themselves, step by step, for quantities that are functions of where training went."""

from torch import nn

from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.probe import Value

__all__ = ["trajectory"]


def trajectory(model: nn.Module, data: Split) -> dict[str, Value]:
    """The trainable parameters as one vector, `weights` (P,), in the order of named_parameters.

    Raises ValueError if the model has nothing to train. `data` isn't looked at.

    >>> import torch
    >>> layer = nn.Linear(2, 1)
    >>> torch.equal(trajectory(layer, None)["weights"], torch.cat([layer.weight[0], layer.bias]))
    True
    """
    return {"weights": Layout.of(model).vector(dict(model.named_parameters()))}
