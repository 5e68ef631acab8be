"""Leave-one-out: what each example's error would be, had the model been trained without it, from one training."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.data import Split
from atml_exp.fields import NonNegative
from atml_exp.linalg import LossFn, as_float64
from atml_exp.linear_part import linear_part
from atml_exp.losses.mse import mse
from atml_exp.probe import Value
from atml_exp.recipes.least_squares import solve

__all__ = ["LeftOut", "leave_one_out", "left_out"]


class LeftOut(NamedTuple):
    """Of the ridge solution on N examples with K targets: residuals (N, K), leverages (N,), both of the fit on all
    examples; and the residuals (N, K) of each example under the fit without it.
    """

    residuals: Tensor
    leverages: Tensor
    left_out: Tensor


def leave_one_out(
    model: nn.Module, data: Split, *, loss: LossFn = mse, ridge: NonNegative = 0.0, retrain: bool = False
) -> dict[str, Value]:
    """Leave-one-out residuals of a ridge regression in closed form; see `left_out`. Risks are ½ mean squares.

    `risk`: of the left-out residuals. `train_risk`: of the residuals. `gcv`: the second over (1 − tr(A)/N)², A the
    hat matrix (Golub, Heath & Wahba 1979, Generalized cross-validation as a method for choosing a good ridge
    parameter). `degrees`: tr(A). Arrays: `residuals` and `left_out` (N, K), `leverages` (N,).
    retrain: also `retrained` (N, K), by N solutions on N − 1 examples each, `retrained_risk`, and `deviation`, how
    far off at most.

    For models that are linear in what is trained, a bias penalised like any weight, at the minimum of loss=mse +
    ½·ridge·‖W‖²: where recipe=least_squares puts them. In float64. Raises ValueError for other models and losses,
    where the model isn't the minimiser, and where an example alone determines a weight (leverage 1).
    """
    fn = getattr(loss, "func", loss)
    if fn is not mse:
        raise ValueError(f"loss = {getattr(fn, '__name__', fn)}: leave-one-out in closed form is for mse only")
    part = linear_part(model, data.x)
    y = one_hot(data.y, part.weights.shape[1]) if not data.y.is_floating_point() else data.y.reshape(len(data), -1)
    targets = as_float64(y)
    found = left_out(part.features, targets, ridge)
    _require_minimiser(targets - part.features @ part.weights, found.residuals, targets, ridge)
    n, degrees = len(targets), float(found.leverages.sum())
    train_risk = _risk(found.residuals)
    values: dict[str, Value] = {
        "risk": _risk(found.left_out),
        "train_risk": train_risk,
        "gcv": train_risk / (1 - degrees / n) ** 2,
        "degrees": degrees,
        **found._asdict(),
    }
    if retrain:
        again = retrained(part.features, targets, ridge)
        values |= {
            "retrained": again,
            "retrained_risk": _risk(again),
            "deviation": float((again - found.left_out).abs().max()),
        }
    return values


def left_out(h: Tensor, y: Tensor, ridge: float = 0.0) -> LeftOut:
    """y_i − f_{−i}(h_i) = r_i/(1 − a_ii) of W = argmin (1/N) Σ ½‖W h_i − y_i‖² + ½·ridge·‖W‖², H (N, D), Y (N, K).

    r = (1 − A)Y, A = H(HᵀH + N·ridge)⁻¹Hᵀ. f_{−i} is the fit to the other N − 1 examples with the penalty as strong
    against each of them: ½·N·ridge·‖W‖² beside their *sum*. Of ridge 0 any solution: a leverage below 1 says that
    the others determine f at h_i. Allen (1974), The relationship between variable selection and data augmentation
    and a method for prediction. ValueError for a negative ridge and where a leverage is 1 within 1e-10.

    >>> left_out(torch.ones(3, 1).double(), torch.tensor([[0.0], [3.0], [6.0]]).double()).left_out.flatten()
    tensor([-4.5000,  0.0000,  4.5000], dtype=torch.float64)
    """
    if not ridge >= 0:
        raise ValueError(f"ridge is {ridge}: it must be at least 0")
    u, s, _ = torch.linalg.svd(h, full_matrices=False)
    kept = (s > 1e-12 * s.max()).to(s)  # as solve counts them
    shrunk = kept if ridge == 0 else s.square() / (s.square() + ridge * len(h))
    residuals = y - u @ (shrunk[:, None] * (u.T @ y))
    leverages = (u.square() * shrunk).sum(1)
    if bool((leverages > 1 - 1e-10).any()):
        i = int(leverages.argmax())
        raise ValueError(
            f"the leverage of example {i} is 1: without it a weight isn't determined, and nothing follows for its "
            f"residual; allowed: ridge > 0 (it is {ridge:g}), or fewer features"
        )
    return LeftOut(residuals, leverages, residuals / (1 - leverages)[:, None])


def retrained(h: Tensor, y: Tensor, ridge: float = 0.0) -> Tensor:
    """The same residuals (N, K) the long way: N solutions, each without one example."""
    n = len(h)
    rows = []
    for i in range(n):
        others = torch.arange(n, device=h.device) != i
        rows.append(y[i] - h[i] @ solve(h[others], y[others], ridge * n / (n - 1)))
    return torch.stack(rows)


def _risk(residuals: Tensor) -> float:
    return 0.5 * float(residuals.square().sum(1).mean())


def _require_minimiser(of_model: Tensor, of_minimiser: Tensor, targets: Tensor, ridge: float) -> None:
    distance = float((of_model - of_minimiser).norm() / targets.norm().clamp(min=1e-300))
    if not distance <= 1e-4:
        raise ValueError(
            f"the model isn't the minimiser for ridge = {ridge:g}: its outputs are off by {distance:.1e} of the "
            "targets' norm, allowed is 1e-4; train it with recipe=least_squares and the same ridge"
        )
