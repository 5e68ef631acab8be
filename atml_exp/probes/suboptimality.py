"""How far an objective is from its minimum, in value and in place."""

from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.linalg import as_float64
from atml_exp.models.objective import Objective
from atml_exp.probe import Value

__all__ = ["suboptimality"]


def suboptimality(model: nn.Module, data: Split) -> dict[str, Value]:
    """`gap` = f(w) − f*, `distance` = ‖w − w*‖ and `point`, w itself (D,), of an `Objective`; `data` isn't used.

    `smoothness` L and `strong_convexity` μ as the objective knows them; left out where there is none, as of a
    function that isn't convex, so that nobody draws a bound for it.

    Computed in the model's type: run with dtype=float64, or the gap ends where rounding does, at 1e-8 of the value.
    Raises ValueError for other models, whose minimum isn't known.
    """
    if not isinstance(model, Objective):
        raise ValueError(
            f"{type(model).__name__} has no known minimum: allowed are objectives (model=quadratic, …)"
        )
    w: Tensor = model.weights.detach()
    distance = float((as_float64(w) - as_float64(model.known.minimiser.to(w.device))).norm())
    constants = {"smoothness": model.known.smoothness, "strong_convexity": model.known.strong_convexity}
    return {
        "gap": float(as_float64(model.value().detach())) - model.known.minimum,
        "distance": distance,
        "point": w,
        **{name: value for name, value in constants.items() if value is not None},
    }
