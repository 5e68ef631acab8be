"""Mode connectivity: paths of low loss from a net to another one, trained from other initial weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from atml_exp.connectivity import Barrier, bezier, curve_barrier, linear_barrier
from atml_exp.data import Dataset
from atml_exp.fields import Duration, NonNegativeInt, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.probe import Value
from atml_exp.seeds import derive, seeded_globally
from atml_exp.siblings import trained
from atml_exp.weight_matching import weight_matching

__all__ = ["mode_connectivity"]

LossFn = Callable[[Tensor, Tensor], Tensor]


def mode_connectivity(
    model: nn.Module,
    data: Dataset,
    *,
    architecture: Callable[[tuple[int, ...], int], nn.Module],
    loss: LossFn = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: Duration = "60ep",
    batch_size: PositiveInt | None = 64,
    match: bool = True,
    curve: bool = True,
    num_points: PositiveInt = 31,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """The barrier between the net and a partner that is trained here: on the line, after matching, on a curve.

    The partner: `architecture(input_shape, num_outputs)` with initial weights of its own, trained on data.train for
    `steps` at a constant learning rate; `seed` draws its weights and orders.

    - `linear`: the straight line (Frankle et al. 2020), see `linear_barrier`;
    - `matched`: the line after the partner's hidden units were put into the order that fits best (Ainsworth et al.
      2023), see `weight_matching`; for plain chains of layers: match=False leaves it out;
    - `curve`: a Bézier curve trained as long as the partner (Garipov et al. 2018), see `bezier`.

    optimiser: of the partner and the curve, SGD with momentum 0.9 by default. Returns the barriers
    `<path>_train_loss`, `_test_loss`, `_train_error`, `_test_error`, and the arrays `alphas` (n,), the share of the
    net itself, and `<path>_train_loss_path` (n,), …: what lies on the path. Raises ValueError where a training
    diverges.
    """
    training: dict[str, Any] = {"loss": loss, "optimiser": optimiser, "steps": steps, "batch_size": batch_size}
    path: dict[str, Any] = {
        "loss": loss,
        "num_points": num_points,
        "statistics": data.train,
        "chunk_size": chunk_size,
    }
    start = _untrained(architecture, model, data, loss, seed)
    partner = trained(start, data.train, seed=derive(seed, "partner"), **training)
    values = _on_both(data, "linear", lambda split: linear_barrier(model, partner, split, **path))
    if match:
        matched = weight_matching(model, partner, data.train.x[:16], seed=seed).model
        values |= _on_both(data, "matched", lambda split: linear_barrier(model, matched, split, **path))
    if curve:
        middle = bezier(model, partner, data.train, seed=seed, **training)
        values |= _on_both(data, "curve", lambda split: curve_barrier(model, middle, partner, split, **path))
    return values


def _untrained(
    architecture: Callable[..., nn.Module], model: nn.Module, data: Dataset, loss: LossFn, seed: int
) -> nn.Module:
    """A net with initial weights of its own, on the model's device, in its dtype."""
    marked = loss.func if isinstance(loss, partial) else loss
    outputs = getattr(marked, "num_outputs", None) or data.num_targets
    with seeded_globally(seed, "partner"):
        made = architecture(data.input_shape, outputs)
    return made.to(next(model.parameters()))


def _on_both(data: Dataset, path: str, barrier: Callable[..., Barrier]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, split in (("train", data.train), ("test", data.test)):
        found |= {k if k == "alphas" else f"{path}_{k}": v for k, v in barrier(split).values(name).items()}
    return found
