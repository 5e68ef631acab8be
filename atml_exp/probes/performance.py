"""Loss and error of a model on a split."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, over_replicas
from atml_exp.probes.features import predict, predict_each

__all__ = ["misclassified", "performance"]


def _of_each(
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Sequence[Split],
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> list[dict[str, Value]]:
    outputs = predict_each(model, state, [split.x for split in data])
    return [_values(o, split.y, loss) for o, split in zip(outputs, data, strict=True)]


@over_replicas(_of_each)
def performance(
    model: nn.Module, data: Split, *, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
) -> dict[str, Value]:
    """The mean `loss` on `data`, and how often or how well the model predicts, in eval mode.

    Integer labels: `error`, the fraction misclassified. Floating targets: `r_squared` = 1 − Σ‖y − o‖²/Σ‖y − ȳ‖²,
    over all outputs together; left out where the targets don't vary, as it is undefined there.
    """
    return _values(predict(model, data.x), data.y, loss)


def _values(outputs: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Value]:
    value = loss(outputs, y).item()
    if not y.is_floating_point():
        return {"loss": value, "error": misclassified(outputs, y)}
    explained = _r_squared(outputs, y)
    return {"loss": value} if explained is None else {"loss": value, "r_squared": explained}


def misclassified(outputs: Tensor, y: Tensor) -> float:
    """The fraction of labels y (N,) that the outputs miss.

    outputs (N, C): the class is the argmax. (N, 1) or (N,): binary, the class is 1 where the output is positive.

    >>> import torch
    >>> misclassified(torch.tensor([[0.5], [-2.0], [1.0], [3.0]]), torch.tensor([1, 0, 0, 1]))
    0.25
    """
    scores = outputs.reshape(len(y), -1)
    predicted = (scores[:, 0] > 0).to(y.dtype) if scores.shape[1] == 1 else scores.argmax(1)
    return (predicted != y).double().mean().item()


def _r_squared(outputs: Tensor, y: Tensor) -> float | None:
    total = (y - y.mean(0)).square().sum().item()
    return 1 - (y - outputs.reshape(y.shape)).square().sum().item() / total if total > 0 else None
