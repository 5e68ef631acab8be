"""What a classifier of points in the plane answers everywhere around the data."""

import torch
from torch import Tensor, nn

from atml_exp.data import Dataset, suits
from atml_exp.fields import NonNegative, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import predict

__all__ = ["decision_boundary"]


@suits("binary")
def decision_boundary(
    model: nn.Module, data: Dataset, *, points: PositiveInt = 80, room: NonNegative = 0.1
) -> dict[str, Value]:
    """The score of class 1 on a grid over the plane, in eval mode: above 0 where that is the answer.

    The score is the output where there is one, else o₁ − o₀. The grid reaches beyond the *test* inputs by `room`
    times their range, so that runs with other training examples have the same one. `scores` (points, points): row
    j, column i at (`first`[i], `second`[j]). `inputs` (N, 2), `labels` (N,): the training examples, for the
    picture.

    Raises ValueError for inputs that aren't (N, 2), and for points < 2.
    """
    if data.input_shape != (2,):
        raise ValueError(
            f"inputs are {data.input_shape}: a decision boundary is drawn of inputs in the plane, (2,)"
        )
    if points < 2:
        raise ValueError(f"points is {points}: a grid needs at least 2 a side")
    first, second = (_ticks(data.test.x[:, k], points, room) for k in (0, 1))
    y, x = torch.meshgrid(second, first, indexing="ij")
    outputs = as_float64(predict(model, torch.stack([x.flatten(), y.flatten()], 1)))
    scores = outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]
    return {
        "scores": scores.view(points, points),
        "first": first,
        "second": second,
        "inputs": data.train.x.clone(),
        "labels": data.train.y.clone(),
    }


def _ticks(values: Tensor, points: int, room: float) -> Tensor:
    low, high = float(values.min()), float(values.max())
    more = room * (high - low)
    return torch.linspace(low - more, high + more, points, dtype=values.dtype, device=values.device)
