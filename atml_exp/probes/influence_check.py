"""Influence functions beside what they predict: retraining without each example, of convex models to rounding."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.convex import LOSSES, minimise
from atml_exp.data import Dataset
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import LossFn, as_float64
from atml_exp.linear_part import LinearPart, linear_part
from atml_exp.losses.mse import mse
from atml_exp.probe import Value
from atml_exp.probes.influence import (
    drawn_points,
    in_float64,
    influence,
    left_out_weights,
    loss_changes,
)

__all__ = ["Fit", "fit_of", "influence_check"]


class Fit(NamedTuple):
    """How well predictions fit what happened, over all pairs of test points and examples.

    correlation: Pearson's. slope: of a line through 0, actual on predicted; 1 where the scale is right. error:
    ‖predicted − actual‖/‖actual‖.
    """

    correlation: float
    slope: float
    error: float


def fit_of(predicted: Tensor, actual: Tensor) -> Fit:
    """Of tensors of one shape; correlations are 0 where one of them is constant.

    >>> fit_of(torch.tensor([-1.0, 1.0]), torch.tensor([-2.0, 2.0]))
    Fit(correlation=1.0, slope=2.0, error=0.5)
    """
    p, a = as_float64(predicted).flatten(), as_float64(actual).flatten()
    centred = p - p.mean(), a - a.mean()
    size = float(centred[0].square().sum() * centred[1].square().sum()) ** 0.5
    correlation = float(centred[0] @ centred[1]) / size if size else 0.0
    return Fit(
        correlation, float(p @ a / (p @ p).clamp(min=1e-300)), float((p - a).norm() / a.norm().clamp(min=1e-300))
    )


def influence_check(
    model: nn.Module,
    data: Dataset,
    *,
    loss: LossFn = mse,
    l2: Positive = 0.01,
    points: PositiveInt = 5,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Predicted and actual changes of test losses, when each training example is left out, at the convex minimum.

    For models that are linear in what is trained, with loss mse or logistic. Wherever the run is, the last layer is
    put to the minimiser of (1/N) Σ ℓ_i + ½·l2·‖W‖² on its features, and N times to that without one example and the
    penalty ½·N·l2·‖W‖² beside the sum; see `atml_exp.probes.influence` for the convention. In float64.

    Arrays (T, N), of T test points drawn by `seed`: `predicted`, to first order; `newton`, by one Newton step,
    which is exact for mse; `actual`, by retraining; and `points` (T,). Scalars: `correlation`, `slope`, `error` of
    `predicted`, and `newton_correlation`, … of `newton` (see `Fit`); `newton_deviation`, the largest
    |newton − actual|; `scale`, the largest |actual|; `examples`, N.
    Raises ValueError for other models and losses.
    """
    name = getattr(getattr(loss, "func", loss), "__name__", "")
    if name not in LOSSES[:2]:
        raise ValueError(f"loss = {name}: the minimum is solved for with {' and '.join(LOSSES[:2])} only")
    double = in_float64(model)
    home = next(double.parameters()).device
    train, test = (s.to(home, torch.float64) for s in (data.train, data.test))
    part = linear_part(double, train.x)
    y = _targets(data.train.y, part, name)
    fitted = _with_weights(double, part, _minimum(name, part.features, y, l2))
    chosen = drawn_points(data.test, points, seed)
    each = [test[i[None]] for i in chosen]
    predicted = torch.stack([influence(fitted, loss, train, point, l2=l2) for point in each])
    steps = left_out_weights(fitted, loss, train, l2=l2)
    again = _retrained(name, part.features, y, l2) - linear_part(fitted, train.x).weights
    newton, actual = (torch.stack([loss_changes(fitted, loss, p, c) for p in each]) for c in (steps, again))
    return {
        **fit_of(predicted, actual)._asdict(),
        **{f"newton_{key}": value for key, value in fit_of(newton, actual)._asdict().items()},
        "newton_deviation": float((newton - actual).abs().max()),
        "scale": float(actual.abs().max()),
        "examples": len(train),
        "predicted": predicted,
        "newton": newton,
        "actual": actual,
        "points": chosen,
    }


def _targets(y: Tensor, part: LinearPart, loss: str) -> np.ndarray:
    """As `minimise` wants them: numbers, or the one-hot vectors of classes for mse."""
    if loss == "mse" and not y.is_floating_point():
        y = one_hot(y, part.weights.shape[1])
    return y.double().cpu().numpy()


def _minimum(loss: str, h: Tensor, y: np.ndarray, l2: float) -> Tensor:
    return torch.from_numpy(minimise(loss, h.cpu().numpy(), y, l2=l2).weights).to(h.device)


def _retrained(loss: str, h: Tensor, y: np.ndarray, l2: float) -> Tensor:
    """(N, D, K): the minimisers without each of the examples."""
    n = len(h)
    others = [np.arange(n) != i for i in range(n)]
    return torch.stack([_minimum(loss, h[torch.from_numpy(o)], y[o], l2 * n / (n - 1)) for o in others])


def _with_weights(model: nn.Module, part: LinearPart, weights: Tensor) -> nn.Module:
    """The model itself, which is a copy, at other weights (D, K)."""
    vector = part.vector(model, weights)
    nn.utils.vector_to_parameters(vector, [p for p in model.parameters() if p.requires_grad])
    return model
