"""Tail index of a mini-batch's gradient noise at fixed weights, where steps can't depend on one another."""

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode
from atml_exp.probes.gradient_noise import LossFn, per_example_gradients
from atml_exp.probes.tail_index import tail_index

__all__ = ["batch_noise", "batch_tail_index"]


def batch_tail_index(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    batch_size: PositiveInt = 32,
    num_batches: PositiveInt = 1000,
    block_size: PositiveInt = 50,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """The tail index of g_B − G over `num_batches` mini-batches drawn from `data` with replacement, in eval mode.

    g_B is a mini-batch's gradient and G that of all of `data`, both at the weights as they are: noise as Şimşekli,
    Sagun & Gürbüzbalaban (2019) define it, without the drift and the oscillation that are in the steps of a
    training. The estimator is that of `atml_exp.probes.tail_index.tail_index`, in blocks of `block_size` batches.

    Returns `pooled`, `per_coordinate` (the harmonic mean over coordinates), `readings` (D,), `coordinates_used`: a
    parameter whose gradient is the same for all examples (a dead unit's) has no noise and is left out; D ≤ P.

    Raises ValueError as `per_example_gradients` and `tail_index` do, and where no parameter has noise.
    """
    with evaluation_mode(model):
        gradients = per_example_gradients(model, loss, data.x, data.y, chunk_size=chunk_size)
    noise = batch_noise(gradients, batch_size, num_batches, torch.Generator().manual_seed(seed))
    varied = (noise != 0).all(0)
    if not varied.any():
        raise ValueError("no parameter's gradient differs between mini-batches: there is no noise to measure")
    found = tail_index(noise[:, varied], block_size)
    return {
        "pooled": found.pooled,
        "per_coordinate": found.mean,
        "readings": found.per_coordinate,
        "coordinates_used": int(varied.sum()),
    }


def batch_noise(gradients: Tensor, batch_size: int, num_batches: int, generator: torch.Generator) -> Tensor:
    """g_B − G (num_batches, P) in float64, from gradients (N, P) of single examples; drawn with replacement.

    >>> rows = torch.tensor([[1.0], [3.0]])
    >>> batch_noise(rows, 1, 4, torch.Generator().manual_seed(0)).abs().flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    rows = as_float64(gradients)
    rows = rows - rows.mean(0)
    index = torch.randint(len(rows), (num_batches, batch_size), generator=generator).to(rows.device)
    weights = torch.zeros(num_batches, len(rows), dtype=torch.float64, device=rows.device)
    weights.scatter_add_(1, index, torch.ones_like(index, dtype=torch.float64))
    return weights @ rows / batch_size
