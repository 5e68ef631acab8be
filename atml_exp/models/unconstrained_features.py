"""The unconstrained-features model: the theory's minimal case of neural collapse."""

import math
from collections import OrderedDict

from torch import nn

from atml_exp.fields import Positive, PositiveInt
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["unconstrained_features"]


def unconstrained_features(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    width: PositiveInt = 16,
    bias: bool = True,
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
) -> nn.Module:
    """x ↦ WHx + b on the flattened input: `features.weight` H (width, ∏ input_shape), `output.weight` W, `.bias` b.

    On `atml_exp.datasets.unconstrained_features`, where example i is the i-th basis vector, column i of H is its
    feature vector: free, as if a net could give it any features. Trained with weight decay on W and H alike,
    classes collapse onto a simplex equiangular tight frame, whose size `atml_exp.unconstrained` gives (Mixon,
    Parshall & Pi 2020; Fang, He, Long & Su 2021; Zhu et al. 2021). Under squared loss without a bias the frame is
    orthogonal instead. On other data it is a linear net with one hidden layer. For the theory
    width ≥ num_outputs. bias: of the output alone.

    >>> [tuple(p.shape) for p in unconstrained_features((40,), 4).parameters()]
    [(16, 40), (4, 16), (4,)]
    """
    features = nn.Linear(math.prod(input_shape), width, bias=False)
    output = nn.Linear(width, num_outputs, bias=bias)
    model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), features=features, output=output))
    initialise(model, initialisation, initial_scale)
    return model
