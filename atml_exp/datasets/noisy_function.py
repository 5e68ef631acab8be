"""A function of one number, seen through noise of known size."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from atml_exp.capacity import Function, grid, values
from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream, uniform
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt

__all__ = ["noisy_function"]


def noisy_function(
    *,
    function: Function = "sine",
    noise: NonNegative = 0.3,
    sampling: Literal["grid", "uniform"] = "grid",
    num_train: PositiveInt = 30,
    num_test: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """x (N, 1) in [−1, 1], y (N,) = f(x) + noise·N(0, 1), float64: no predictor has a risk E(y − ŷ)² below noise².

    function: sine sin 2πx, runge 1/(1 + 25x²), step ±1 (see `atml_exp.capacity.values`). sampling of the training
    inputs: `grid`, the midpoints of N equal parts, the same under every seed, or `uniform`. The test inputs are
    always the grid, so that a mean over them is the midpoint rule; their y have noise too.
    """

    def sample(purpose: str, x: Tensor) -> Split:
        z = torch.randn(len(x), generator=stream(seed, f"noisy_function/{purpose}"), dtype=torch.float64)
        return Split(x[:, None], torch.from_numpy(np.asarray(values(function, x.numpy()))) + noise * z)

    x = torch.from_numpy(grid(num_train))
    if sampling == "uniform":
        x = uniform(-1, 1, (num_train,), stream(seed, "noisy_function/x"))
    test = sample("test", torch.from_numpy(grid(num_test)))
    return Dataset("noisy_function", sample("train", x), test, num_classes=None)
