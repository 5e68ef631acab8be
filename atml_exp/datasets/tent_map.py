"""The tent map folded onto itself k times: 2^k pieces, of which a deep net of 2k units is capable."""

from typing import Literal

import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream, uniform
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt

__all__ = ["tent_map", "tent_values"]


def tent_map(
    *,
    folds: PositiveInt = 3,
    task: Literal["regression", "classification"] = "regression",
    sampling: Literal["grid", "uniform"] = "grid",
    num_train: PositiveInt = 256,
    num_test: PositiveInt = 1024,
    noise: NonNegative = 0.0,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """x (N, 1) in [0, 1] and y (N,) = `tent_values(folds, x)`, float64; or for classification y = 1 where that is
    above ½, else 0.

    After Telgarsky (2015), Representation benefits of deep feedforward networks, and (2016), Benefits of depth in
    neural networks. sampling of the training inputs: `grid`, the midpoints (i + ½)/N, or `uniform`, drawn by the
    seed. The test inputs are always the grid, so that a mean over them is the midpoint rule of an integral over
    [0, 1]; where num_test is a multiple of 2^folds, the mean of their y is ½ exactly.
    noise: standard deviation of Gaussian noise on the training values, before the threshold; test values have none.
    """
    x = _midpoints(num_train) if sampling == "grid" else uniform(0, 1, (num_train,), stream(seed, "tent_map/x"))
    drawn = torch.randn(num_train, generator=stream(seed, "tent_map/noise"), dtype=torch.float64)
    train, test = tent_values(folds, x) + noise * drawn, tent_values(folds, _midpoints(num_test))

    def split(x: Tensor, values: Tensor) -> Split:
        return Split(x[:, None], (values > 0.5).long() if task == "classification" else values)

    return Dataset(
        "tent_map", split(x, train), split(_midpoints(num_test), test), 2 if task == "classification" else None
    )


def tent_values(folds: int, x: Tensor) -> Tensor:
    """T∘…∘T (folds times) at x in [0, 1], shaped like x: T(x) = 2x up to ½, 2 − 2x from there.

    The distance of 2^(folds−1)·x from the nearest whole number, twice. It goes up from 0 to 1 or down again on each
    of the 2^folds intervals [j, j + 1]/2^folds. ValueError for folds < 1, or x outside [0, 1].

    >>> tent_values(2, torch.tensor([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
    tensor([0.0000, 0.5000, 1.0000, 0.0000, 1.0000, 0.0000])
    """
    if folds < 1:
        raise ValueError(f"folds is {folds}: it must be at least 1")
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(f"x ranges from {float(x.min())} to {float(x.max())}: the tent map is defined on [0, 1]")
    place = 2.0 ** (folds - 1) * x
    return 2 * (place - place.round()).abs()


def _midpoints(number: int) -> Tensor:
    return (torch.arange(number, dtype=torch.float64) + 0.5) / number
