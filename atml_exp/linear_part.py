"""Models that are linear in what is trained: fixed features, and the weights of one linear layer on them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.layout import Layout
from atml_exp.linalg import as_float64
from atml_exp.probes.features import penultimate_features

__all__ = ["LinearPart", "linear_part"]


class LinearPart(NamedTuple):
    """outputs = features @ weights, in float64.

    features (N, D): with a last column of ones where the layer has a bias, which so is one of the weights (D, K).
    """

    features: Tensor
    weights: Tensor
    weight_name: str
    bias_name: str | None

    def vector(self, model: nn.Module, weights: Tensor) -> Tensor:
        """Other weights (D, K) as the vector (P,) of the model's trainable parameters."""
        if self.bias_name is None:
            return Layout.of(model).vector({self.weight_name: weights.T})
        return Layout.of(model).vector({self.weight_name: weights[:-1].T, self.bias_name: weights[-1]})


def linear_part(model: nn.Module, x: Tensor) -> LinearPart:
    """The last linear layer of a model, the only one that is trained, and what it is given for inputs x (N, …).

    ValueError where anything else is trained, or as `penultimate_features` raises.

    >>> model = nn.Linear(1, 1)
    >>> _ = model.weight.data.fill_(2.0), model.bias.data.fill_(0.5)
    >>> linear_part(model, torch.tensor([[3.0]]))[:2]
    (tensor([[3., 1.]], dtype=torch.float64), tensor([[2.0000],
            [0.5000]], dtype=torch.float64))
    """
    h, last = penultimate_features(model, x)
    trained = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    others = [name for key, name in trained.items() if key not in {id(last.weight), id(last.bias)}]
    if others:
        raise ValueError(f"the model isn't linear in its weights: beside the last layer {others[0]} is trained too")
    h, weights = as_float64(h), as_float64(last.weight).T
    if last.bias is None:
        return LinearPart(h, weights, trained[id(last.weight)], None)
    h = torch.cat([h, torch.ones_like(h[:, :1])], 1)
    weights = torch.cat([weights, as_float64(last.bias)[None]])
    return LinearPart(h, weights, trained[id(last.weight)], trained[id(last.bias)])
