"""Points on a Chebyshev polynomial: a regression so small that its training can be followed for 10⁵ steps."""

from functools import cache

import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.fields import NonNegativeInt, PositiveInt

__all__ = ["chebyshev", "chebyshev_polynomial"]


def chebyshev(*, degree: NonNegativeInt = 3, num_train: PositiveInt = 20, num_test: PositiveInt = 200) -> Dataset:
    """x (N, 1) evenly spaced on [−1, 1], y (N,) = T_k(x) for the degree k, both float64; nothing is random.

    The training split reaches both ends; the test split has the middles of `num_test` equal parts, so that the ends
    aren't in both.

    The toy problem of Cohen, Kaur, Li, Kolter & Talwalkar (2021, Appendix), for full-batch gradient descent.
    """

    def split(x: Tensor) -> Split:
        return Split(x[:, None], chebyshev_polynomial(degree, x))

    ends = torch.linspace(-1, 1, num_train, dtype=torch.float64)
    middles = (2 * torch.arange(num_test, dtype=torch.float64) + 1) / num_test - 1
    return Dataset("chebyshev", split(ends), split(middles), num_classes=None)


def chebyshev_polynomial(degree: int, x: Tensor) -> Tensor:
    """T_k(x), shaped like x, by T_{k+1} = 2x·T_k − T_{k−1}, T_0 = 1, T_1 = x.

    >>> chebyshev_polynomial(3, torch.tensor([-1.0, 0.5, 1.0]))
    tensor([-1., -1.,  1.])
    """

    @cache
    def t(k: int) -> Tensor:
        if k < 2:
            return x if k else torch.ones_like(x)
        return 2 * x * t(k - 1) - t(k - 2)

    return t(degree)
