"""The k nearest training examples answer."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.fields import Positive, PositiveInt
from atml_exp.nonparametric import of_training_set

__all__ = ["k_nearest_neighbours"]

Answer = Literal["log_probabilities", "frequencies"]

AT_ONCE = 2**18
"""Distances that are held at a time."""


class _Neighbours(nn.Module):
    """x ↦ the mean of `values` (N, K) over the k nearest of `inputs` (N, D), then as the answer is given."""

    inputs: Tensor
    values: Tensor
    nonparametric = True

    def __init__(self, inputs: Tensor, values: Tensor, k: int, smoothing: float | None, log_odds: bool) -> None:
        super().__init__()
        self.register_buffer("inputs", inputs.clone())
        self.register_buffer("values", values.clone())
        self.k, self.smoothing, self.log_odds = k, smoothing, log_odds

    def forward(self, x: Tensor) -> Tensor:
        size = max(1, AT_ONCE // len(self.inputs))
        mean = torch.cat([self._mean(part) for part in x.flatten(1).split(size)])
        if self.smoothing is None:
            return mean
        classes = mean.shape[1]
        logs = ((self.k * mean + self.smoothing) / (self.k + classes * self.smoothing)).log()
        return logs[:, 1:] - logs[:, :1] if self.log_odds else logs

    def _mean(self, x: Tensor) -> Tensor:
        """Distances from differences, and not from products, which would lose the 0 of an example to itself."""
        distance = torch.cdist(x, self.inputs, compute_mode="donot_use_mm_for_euclid_dist")
        kth = distance.topk(self.k, dim=1, largest=False, sorted=False).values.amax(1, keepdim=True)
        nearer, level = distance < kth, distance == kth
        taken = nearer | (level & (level.cumsum(1) <= self.k - nearer.sum(1, keepdim=True)))
        return taken.to(self.values) @ self.values / self.k

    def extra_repr(self) -> str:
        return f"k={self.k}, examples={len(self.inputs)}"


@of_training_set
def k_nearest_neighbours(
    input_shape: tuple[int, ...],
    num_outputs: int,
    train: Split,
    *,
    k: PositiveInt = 1,
    smoothing: Positive = 1.0,
    answer: Answer = "log_probabilities",
) -> nn.Module:
    """The k training examples at the least Euclidean distance answer; of equal distances the earlier examples.

    Classes: with n_c of class c among them, the outputs are log((n_c + s)/(k + Cs)) of C classes, s the smoothing:
    log-probabilities, with which the cross-entropy is finite (s = 1: Laplace's rule); of equal counts the lower
    class is the answer. A loss for one output is given the log-odds of class 1. answer=frequencies: n_c/k instead,
    for loss=mse. Numbers: the mean of the targets; smoothing and answer mean nothing.

    Nothing is trained: with recipe=memorise. The training set is held as buffers and stored with each checkpoint.
    1/k stands for the capacity (Cover & Hart 1967, Nearest neighbor pattern classification).

    Raises ConfigError where k exceeds the number of training examples.

    >>> train = Split(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([2.0, 4.0, 9.0]))
    >>> k_nearest_neighbours((1,), 1, train, k=2)(torch.tensor([[0.4], [4.0]])).tolist()
    [[3.0], [6.5]]
    """
    if k > len(train):
        raise ConfigError(f"model.k = {k}: the training set has {len(train)} examples; allowed: 1 to {len(train)}")
    inputs = train.x.reshape(len(train), math.prod(input_shape))
    if train.y.is_floating_point():
        return _Neighbours(inputs, train.y.reshape(len(train), -1), k, None, False)
    values = nn.functional.one_hot(train.y, max(num_outputs, 2)).to(inputs)
    if answer == "frequencies":
        return _Neighbours(inputs, values[:, -num_outputs:], k, None, False)
    return _Neighbours(inputs, values, k, smoothing, num_outputs == 1)
