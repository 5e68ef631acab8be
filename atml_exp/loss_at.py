"""The loss of one architecture at many weight vectors: linear combinations of a few, in bounded memory."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probes.features import predict_each
from atml_exp.probes.performance import misclassified

__all__ = ["LossAt", "has_running_statistics", "loss_at", "recompute_statistics"]

ROWS = 16_384
"""Examples × weight vectors in one forward pass, some 100 MB of activations for a small convolutional net."""

STATISTICS = 2048
"""Examples in a batch whose statistics are taken. Chosen by us."""


class LossAt(NamedTuple):
    """loss: (G,). error: (G,), the fraction misclassified; None for a regression."""

    loss: Tensor
    error: Tensor | None


def loss_at(
    model: nn.Module,
    vectors: Tensor,
    coefficients: Tensor,
    data: Split,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    statistics: Split | None = None,
    chunk_size: int | None = None,
) -> LossAt:
    """The mean loss, and the error, of the model in eval mode at the weights Σ_k c_gk v_k, for each g.

    vectors: v (K, P), the trainable parameters end to end in named_parameters' order. coefficients: c (G, K). A
    vector is met exactly where its coefficient is 1 and the others are 0. What isn't trained is as in the model.
    statistics: examples on which the running statistics of batch norm are recomputed at each of the weights; those
    of the model don't belong to other weights. Without it they stay as they are.
    chunk_size: weight vectors at a time (by vmap); None: as many as fit into some 100 MB.
    The model is left as it is.

    Raises ValueError where shapes don't fit or there are no examples.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> line = Split(torch.ones(1, 1), torch.zeros(1, 1))
    >>> ends = torch.tensor([[1.0], [3.0]])
    >>> loss_at(model, ends, torch.tensor([[1.0, 0.0], [0.5, 0.5]]), line, loss=nn.MSELoss()).loss
    tensor([1., 4.])
    """
    layout = Layout.of(model)
    _check(layout, vectors, coefficients, data, chunk_size)
    scratch = copy.deepcopy(model).eval()
    size = chunk_size or _together(layout.size, len(data))
    parts = []
    for chunk in coefficients.to(vectors).split(size):
        state = _state(scratch, layout, chunk @ vectors)
        if statistics is not None:
            recompute_statistics(scratch, state, statistics.x)
        parts.append(_measured(scratch, state, data, loss))
    losses, errors = zip(*parts, strict=True)
    return LossAt(torch.cat(losses), None if data.y.is_floating_point() else torch.cat(errors))


def _check(layout: Layout, vectors: Tensor, coefficients: Tensor, data: Split, chunk_size: int | None) -> None:
    if vectors.dim() != 2 or vectors.shape[1] != layout.size:
        raise ValueError(
            f"vectors has shape {tuple(vectors.shape)}: it must be (K, {layout.size}), all trainable parameters"
        )
    if coefficients.dim() != 2 or len(coefficients) == 0 or coefficients.shape[1] != len(vectors):
        raise ValueError(
            f"coefficients has shape {tuple(coefficients.shape)}: it must be (G, {len(vectors)}), one per vector"
        )
    if len(data) == 0:
        raise ValueError("data holds no example: at least 1 is needed")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1, or None to have it chosen")


def _together(weights: int, examples: int) -> int:
    return max(1, min(ROWS // min(examples, STATISTICS), 25_000_000 // weights))


def _state(model: nn.Module, layout: Layout, points: Tensor) -> dict[str, Tensor]:
    """Parameters and buffers, each (G, …), with these weights."""
    fixed = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    rows = {n: t.detach().expand(len(points), *t.shape).clone() for n, t in fixed.items() if n not in layout.names}
    return {**layout.named(points), **rows}


def _measured(
    model: nn.Module, state: Mapping[str, Tensor], data: Split, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    some = next(iter(state.values()))
    outputs = predict_each(model, state, [data.x] * len(some), batch_size=ROWS)
    losses = vmap(loss, in_dims=(0, None))(outputs, data.y)
    errors = [] if data.y.is_floating_point() else [misclassified(o, data.y) for o in outputs]
    return losses, torch.tensor(errors, dtype=losses.dtype, device=losses.device)


def has_running_statistics(model: nn.Module) -> bool:
    """Whether the model has batch-norm layers whose statistics are recorded while it trains."""
    return any(True for _ in _batch_norms(model))


def _batch_norms(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
            yield module


@torch.no_grad()
def recompute_statistics(model: nn.Module, state: dict[str, Tensor], x: Tensor) -> None:
    """Replaces, in `state`, the running statistics of batch norm by those of the examples x (N, …).

    state: parameters and buffers, each (G, …), of G replicas of the model. Each layer is given what the layers
    before it make of x with the statistics of the batch itself, as in training; all other layers are in eval mode.
    Beyond 2,048 examples, the means over batches of equal size. Nothing happens to a model without batch norm.
    """
    norms = list(_batch_norms(model))
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    forward = vmap(lambda state, x: functional_call(model, state, (x,)), in_dims=(0, None))
    try:
        for i, batch in enumerate(x.tensor_split(-(-len(x) // STATISTICS))):
            for norm in norms:
                norm.train()
                norm.momentum = 1 / (i + 1)  # type: ignore[assignment]
            forward(state, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
