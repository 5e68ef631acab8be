"""Loss trajectory: loss and error of each example, step by step, for distances of weights by what they do."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import vmap

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, over_replicas
from atml_exp.probes.features import predict, predict_each

__all__ = ["example_losses", "loss_trajectory"]

LossFn = Callable[[Tensor, Tensor], Tensor]


def _of_each(
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Sequence[Split],
    *,
    loss: LossFn = cross_entropy,
    num_examples: int | None = None,
    seed: int = 0,
) -> list[dict[str, Value]]:
    made: dict[int, Split] = {}
    chosen = [made.setdefault(id(split), _chosen(split, num_examples, seed)) for split in data]
    outputs = predict_each(model, state, [split.x for split in chosen])
    return _values(outputs, torch.stack([split.y for split in chosen]), loss)


@over_replicas(_of_each)
def loss_trajectory(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_examples: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """`losses` (N,), ℓ(w, z_i) of each example in eval mode, and `errors` (N,), whether the model errs on it.

    What ρ_S(w, w′) = (1/N) Σ_i |ℓ(w, z_i) − ℓ(w′, z_i)| and the 0–1 metric are computed from: see
    `atml_exp.distances`. The mean of the losses is the loss of the split. A regression has no errors.

    num_examples: drawn by `seed`, the same ones at each step and for each model; None, or too many: all of them.
    Raises ValueError where there is no example, or the loss isn't a mean over examples.

    >>> model, x = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [2.0]])
    >>> _ = model.weight.data.fill_(3.0)
    >>> loss_trajectory(model, Split(x, torch.zeros(2, 1)), loss=nn.MSELoss())["losses"]
    tensor([ 9., 36.])
    """
    chosen = _chosen(data, num_examples, seed)
    return _values(predict(model, chosen.x)[None], chosen.y[None], loss)[0]


def _chosen(data: Split, num_examples: int | None, seed: int) -> Split:
    if num_examples is None or num_examples >= len(data):
        return data
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data[order[:num_examples].to(data.x.device)]


def example_losses(outputs: Tensor, y: Tensor, loss: LossFn) -> Tensor:
    """The loss (R, N) of each example under each of R replicas: outputs (R, N, …), labels (R, N, …).

    Raises ValueError where the loss isn't a mean over examples.
    """
    losses = vmap(vmap(lambda output, label: loss(output[None], label[None])))(outputs, y)
    whole = vmap(loss)(outputs, y)
    off = ~torch.isclose(losses.mean(1), whole, rtol=1e-4, atol=1e-7) & torch.isfinite(whole)
    if off.any():
        raise ValueError(
            f"loss gave {whole[off][0].item():g} for all examples and {losses[off][0].mean().item():g} as the mean "
            "over single ones: it must be a mean over examples"
        )
    return losses


def _values(outputs: Tensor, y: Tensor, loss: LossFn) -> list[dict[str, Value]]:
    """Of each replica: outputs (R, N, …), labels (R, N, …)."""
    losses = example_losses(outputs, y, loss)
    if y.is_floating_point():
        return [{"losses": each} for each in losses]
    return [{"losses": a, "errors": b} for a, b in zip(losses, _errs(outputs, y), strict=True)]


def _errs(outputs: Tensor, y: Tensor) -> Tensor:
    """(R, N), as `misclassified` counts them."""
    scores = outputs.reshape(*y.shape, -1)
    predicted = (scores[..., 0] > 0).to(y.dtype) if scores.shape[-1] == 1 else scores.argmax(-1)
    return predicted != y
