"""Instability: whether trainings that go on from the same weights end linearly connected."""

from collections.abc import Callable

from torch import Tensor, nn

from atml_exp.connectivity import linear_barrier
from atml_exp.data import Dataset
from atml_exp.fields import Duration, NonNegativeInt, PositiveInt
from atml_exp.layout import Layout
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.probe import Value
from atml_exp.seeds import derive
from atml_exp.siblings import trained

__all__ = ["instability"]


def instability(
    model: nn.Module,
    data: Dataset,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: Duration = "60ep",
    batch_size: PositiveInt | None = 64,
    pruned: bool = False,
    num_points: PositiveInt = 31,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """Two children are trained on from the net's weights W_k, each with its own order of the data; their barrier.

    Frankle, Dziugaite, Roy & Carbin 2020, Algorithm 1: the net is stable to the noise of SGD at step k where the
    error rises by less than 2 % on the line between the children. Asked at several steps of one run, this tells
    when the outcome is settled. Each child makes `steps` more steps, at a constant learning rate; its optimiser
    starts from its initial state, since of the past only the weights are known (the paper keeps the momentum).
    `seed` draws the two orders, the same at every k; with batch_size None there are none, and the barrier is 0.

    optimiser: SGD with momentum 0.9 by default. pruned: the children of a sparse net are as sparse: what is exactly
    0 stays so. Returns `train_loss`, `test_loss`, `train_error`, `test_error`: the barriers, see
    `linear_barrier`; `distance`: between the children; and the arrays `alphas` (n,) and
    `train_loss_path`, …: the values on the line. Raises ValueError where a child diverges.
    """
    children = [
        trained(
            model,
            data.train,
            loss=loss,
            seed=derive(seed, "child", number),
            optimiser=optimiser,
            steps=steps,
            batch_size=batch_size,
            pruned=pruned,
        )
        for number in range(2)
    ]
    first, second = (Layout.of(c).vector(dict(c.named_parameters())) for c in children)
    values: dict[str, Value] = {"distance": (first - second).norm().item()}
    for name, split in (("train", data.train), ("test", data.test)):
        found = linear_barrier(
            children[0],
            children[1],
            split,
            loss=loss,
            num_points=num_points,
            statistics=data.train,
            chunk_size=chunk_size,
        )
        values |= found.values(name)
    return values
