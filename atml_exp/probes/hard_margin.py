"""The margin of a linear classifier, beside the largest that there is, and the perceptron's bound."""

from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.linear_part import linear_part
from atml_exp.max_margin import degrees_between, max_margin
from atml_exp.probe import Value
from atml_exp.separability import is_separable

__all__ = ["hard_margin"]


@suits("binary")
def hard_margin(model: nn.Module, data: Split) -> dict[str, Value]:
    """`separable` (1 or 0): whether any weights get all of `data` right. `margin`: min_i m_i/‖w‖ of the model.

    m_i = (2y_i − 1)⟨w, h_i⟩ for a model with one output that is linear in what is trained, h_i its features (the
    inputs, of model=linear); of two outputs the difference counts. A bias is the weight of a constant feature 1,
    in ‖w‖ too. The margin is negative where an example is missed, and left out at w = 0. `radius` R = max ‖h_i‖.

    Where the data are separable: `maximum` γ, the largest margin, in closed form up to rounding; `angle` in degrees
    between w and the direction that has it; `mistake_bound` (R/γ)², which the perceptron's mistakes from w = 0
    never exceed (Novikoff 1962, On convergence proofs on perceptrons).

    Raises ValueError for models that aren't linear in what is trained or have more than two outputs.
    """
    part = linear_part(model, data.x)
    w = _direction(part.weights)
    h, y = part.features.cpu().numpy(), data.y.cpu().numpy()
    length, radius = float(w.norm()), float(part.features.norm(dim=1).max())
    values: dict[str, Value] = {"separable": float(is_separable(h, y)), "radius": radius}
    if length > 0:
        signs = 2 * data.y.to(part.features) - 1
        values["margin"] = float((signs * (part.features @ w)).min()) / length
    if values["separable"]:
        best = max_margin(h, 2 * y - 1)
        values |= {"maximum": best.margin, "mistake_bound": (radius / best.margin) ** 2}
        if length > 0:
            values["angle"] = degrees_between(w.cpu().numpy(), best.w)
    return values


def _direction(weights: Tensor) -> Tensor:
    """w (D,) of weights (D, 1), or (D, 2), whose larger output answers."""
    if weights.shape[1] == 1:
        return weights[:, 0]
    if weights.shape[1] != 2:
        raise ValueError(f"the model has {weights.shape[1]} outputs: a margin between two classes needs 1 or 2")
    return weights[:, 1] - weights[:, 0]
