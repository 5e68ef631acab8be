"""How far a linear model is from the minimum of its penalised loss, in value and in place."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.convex import minimise, objective
from atml_exp.data import Split
from atml_exp.fields import NonNegative
from atml_exp.linalg import LossFn
from atml_exp.linear_part import linear_part
from atml_exp.losses.mse import mse
from atml_exp.probe import Value

__all__ = ["optimality_gap"]


def optimality_gap(
    model: nn.Module, data: Split, *, loss: LossFn = mse, l2: NonNegative = 0.0, l1: NonNegative = 0.0
) -> dict[str, Value]:
    """`gap` = f(w) − f* of f(w) = loss on `data` + ½·l2·‖w‖² + l1·‖w‖₁, in float64; its `minimum` f*.

    For models that are linear in what is trained, under mse, logistic or hinge; a bias is penalised like any
    weight, as by the optimisers. l2: of weight_decay; l1: of optimiser=proximal_gd. `distance` = ‖w − w*‖ where
    there is one minimiser only. f* is found anew each time, to its `certificate` (see `atml_exp.convex.minimise`):
    that is cheap for some hundred weights, so schedule with care. With dtype=float32 the gap ends at about 1e-7 of
    the loss.

    `smoothness` L and `strong_convexity` μ of f without the ℓ₁ part, L left out of a loss that isn't smooth.

    Raises ValueError for other models and losses, and as `minimise` does: for one, logistic without l2 on separable
    data has no minimiser.
    """
    part = linear_part(model, data.x)
    name = str(getattr(getattr(loss, "func", loss), "__name__", type(loss).__name__))
    x, y, w = (
        part.features.cpu().numpy(),
        _targets(data.y, part.weights.shape[1]).numpy(),
        part.weights.cpu().numpy(),
    )
    best = minimise(name, x, y, l2=l2, l1=l1)
    values: dict[str, Value] = {
        "gap": objective(name, x, y, w, l2=l2, l1=l1) - best.value,
        "minimum": best.value,
        "certificate": best.certificate,
        "strong_convexity": best.strong_convexity,
    }
    if best.unique:
        values["distance"] = float(((w - best.weights) ** 2).sum() ** 0.5)
    if best.smoothness is not None:
        values["smoothness"] = best.smoothness
    return values


def _targets(y: Tensor, outputs: int) -> Tensor:
    """Numbers as they are, labels of one output too, classes of several outputs as one-hot vectors."""
    y = y.detach().cpu()
    return y.double() if y.is_floating_point() or outputs == 1 else one_hot(y, outputs).to(torch.float64)
