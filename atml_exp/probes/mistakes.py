"""How many mistakes a perceptron has made."""

from collections.abc import Mapping

from torch import Tensor

from atml_exp.probe import Value

__all__ = ["mistakes"]


def mistakes(state: Mapping[str, Tensor]) -> dict[str, Value]:
    """`total`, since the start, and `rate`, for each example that was looked at; `state` is optimiser=perceptron's.

    state: {"mistakes": (), "step": ()}. ValueError for another optimiser's state.

    >>> import torch
    >>> mistakes({"mistakes": torch.tensor(3.0), "step": torch.tensor(12)})
    {'total': 3.0, 'rate': 0.25}
    """
    if "mistakes" not in state:
        raise ValueError("the optimiser counts no mistakes: allowed is optimiser=perceptron")
    total, step = float(state["mistakes"]), int(state["step"])
    return {"total": total, "rate": total / max(step, 1)}
