"""Polynomials of a given degree: classes of functions, each inside the next."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import combinations_with_replacement, groupby

import torch
from torch import Tensor, nn

from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegativeInt, Positive
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["MOST_FEATURES", "legendre", "polynomial"]

MOST_FEATURES = 10_000
"""Features of a polynomial model; chosen by us, for least squares takes N × features numbers in float64."""


class _Monomials(nn.Module):
    """x (N, D) ↦ all products of normalised Legendre polynomials of total degree at most k, (N, C(D + k, k))."""

    factors: Tensor

    def __init__(self, dimension: int, degree: int, half_width: float) -> None:
        super().__init__()
        self.degree, self.half_width = degree, half_width
        self.register_buffer("factors", torch.tensor(list(_factors(dimension, degree))))

    def forward(self, x: Tensor) -> Tensor:
        table = legendre(self.degree, x / self.half_width).flatten(1)  # (N, D·(k + 1))
        found = table[:, self.factors[:, 0]]
        for place in range(1, self.factors.shape[1]):
            found = found * table[:, self.factors[:, place]]
        return found


def polynomial(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    degree: NonNegativeInt = 3,
    half_width: Positive = 1.0,
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
) -> nn.Module:
    """All polynomials of total degree at most k on the flattened input: one linear layer, `output`, of features.

    The C(D + k, k) features of an input of D numbers are products of Legendre polynomials of x_i/half_width, each
    normalised: orthonormal where x is uniform on the cube [−half_width, half_width]^D, so that there least squares
    (recipe=least_squares) is as well conditioned as the sample allows; outside the cube they grow like |x|^k. The
    first is the constant 1, in place of a bias. A feature of lower degree comes first: each class of functions is
    inside the next, and the training risk of least squares never rises with k. With more features than examples
    the solution of the least norm depends on this basis.

    Raises ConfigError for more than MOST_FEATURES features.

    >>> sum(p.numel() for p in polynomial((1,), 1, degree=5).parameters())
    6
    >>> polynomial((2,), 3, degree=2).output
    Linear(in_features=6, out_features=3, bias=False)
    """
    dimension = math.prod(input_shape)
    number = math.comb(dimension + degree, degree)
    if number > MOST_FEATURES:
        raise ConfigError(
            f"model.degree = {degree}: of {dimension} inputs there are {number:,} products up to that degree; "
            f"allowed: at most {MOST_FEATURES:,}"
        )
    output = nn.Linear(number, num_outputs, bias=False)
    features = _Monomials(dimension, degree, half_width)
    model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), features=features, output=output))
    initialise(model, initialisation, initial_scale)
    return model


def legendre(degree: int, x: Tensor) -> Tensor:
    """√(2j + 1) P_j(x) for j = 0 … degree, (…, degree + 1): of mean square 1 over [−1, 1].

    By (j + 1)P_{j+1} = (2j + 1)x P_j − j P_{j−1}.

    >>> legendre(2, torch.tensor([1.0])).square()
    tensor([[1., 3., 5.]])
    """
    found = [torch.ones_like(x), x]
    for j in range(1, degree):
        found.append(((2 * j + 1) * x * found[j] - j * found[j - 1]) / (j + 1))
    return torch.stack([math.sqrt(2 * j + 1) * p for j, p in enumerate(found[: degree + 1])], -1)


def _factors(dimension: int, degree: int) -> Iterator[list[int]]:
    """Of each feature the places of its factors in the table (D, k + 1), flattened; 0, the constant, fills them up.

    >>> list(_factors(2, 2))  # 1, x, y, P₂(x), xy, P₂(y)
    [[0, 0], [1, 0], [4, 0], [2, 0], [1, 4], [5, 0]]
    """
    places = max(1, min(dimension, degree))
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(dimension), total):
            powers = [(i, len(list(same))) for i, same in groupby(chosen)]
            own = [i * (degree + 1) + power for i, power in powers]
            yield own + [0] * (places - len(own))
