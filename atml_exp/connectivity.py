"""Paths between two nets: the straight line and a trained curve, and the barrier of the loss on them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atml_exp.batches import Batches
from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.loss_at import LossAt, has_running_statistics, loss_at
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.schedule import num_steps
from atml_exp.seeds import derive

__all__ = ["MIN_POINTS", "Barrier", "bezier", "curve_barrier", "linear_barrier"]

MIN_POINTS = 30
"""Fewer places on a path may miss the top of a narrow barrier (Frankle et al. 2020 take 30)."""

LossFn = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Barrier:
    """What a path looks like. alphas: (n,), the share of `first`: 1 there and 0 at `second`.

    losses, errors: (n,); errors None in a regression. loss, error: the barriers, max_α E(α) − ½(E(0) + E(1)), at
    least 0; so even a path without a bump has ½|E(0) − E(1)|.
    """

    alphas: Tensor
    losses: Tensor
    errors: Tensor | None

    @property
    def loss(self) -> float:
        return _height(self.losses)

    @property
    def error(self) -> float | None:
        return None if self.errors is None else _height(self.errors)

    def values(self, name: str) -> dict[str, float | Tensor]:
        """The barriers as `<name>_loss`, `<name>_error`, and what lies on the path, for a probe."""
        found: dict[str, float | Tensor] = {f"{name}_loss": self.loss, f"{name}_loss_path": self.losses}
        if self.errors is not None:
            found |= {f"{name}_error": _height(self.errors), f"{name}_error_path": self.errors}
        return found | {"alphas": self.alphas}


def _height(values: Tensor) -> float:
    rows = values.double()
    return float(rows.max() - (rows[0] + rows[-1]) / 2)


def linear_barrier(
    first: nn.Module,
    second: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_points: int = 31,
    statistics: Split | None = None,
    chunk_size: int | None = None,
) -> Barrier:
    """The loss on the straight line αw₁ + (1 − α)w₂ between two nets of one architecture, in eval mode.

    Frankle, Dziugaite, Roy & Carbin 2020 (Linear mode connectivity and the lottery ticket hypothesis). The ends are
    met exactly, so that w₁ = w₂ has the barrier 0. Batch norm's running statistics are recomputed at every α, the
    ends included, on `statistics`: the training set; by default `data`.
    Raises ValueError where the nets differ in shapes or num_points is below 30, and as `loss_at` does.

    >>> first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(first.weight, 1.0), nn.init.constant_(second.weight, -1.0)
    >>> found = linear_barrier(first, second, Split(torch.ones(1, 1), torch.zeros(1, 1)), loss=nn.L1Loss())
    >>> found.loss, found.losses[15].item() < 1e-6
    (0.0, True)
    """
    alphas = _alphas(num_points)
    ends = torch.stack([_vector(first), _vector(second, first)])
    shares = torch.stack([alphas, 1 - alphas], 1)
    return _barrier(first, ends, shares, data, loss, statistics, chunk_size)


def curve_barrier(
    first: nn.Module,
    middle: nn.Module,
    second: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_points: int = 31,
    statistics: Split | None = None,
    chunk_size: int | None = None,
) -> Barrier:
    """The same on the quadratic Bézier curve α²w₁ + 2α(1 − α)θ + (1 − α)²w₂ with the control point θ = `middle`."""
    a = _alphas(num_points)
    vectors = torch.stack([_vector(first), _vector(middle, first), _vector(second, first)])
    shares = torch.stack([a**2, 2 * a * (1 - a), (1 - a) ** 2], 1)
    return _barrier(first, vectors, shares, data, loss, statistics, chunk_size)


def _barrier(
    model: nn.Module,
    vectors: Tensor,
    shares: Tensor,
    data: Split,
    loss: LossFn,
    statistics: Split | None,
    chunk_size: int | None,
) -> Barrier:
    recomputed = (statistics or data) if has_running_statistics(model) else None
    found: LossAt = loss_at(model, vectors, shares, data, loss=loss, statistics=recomputed, chunk_size=chunk_size)
    return Barrier(_alphas(len(shares)), *found)


def _alphas(num_points: int) -> Tensor:
    if num_points < MIN_POINTS:
        raise ValueError(f"num_points is {num_points}: at least {MIN_POINTS}, or a narrow barrier may be missed")
    return torch.linspace(1, 0, num_points, dtype=torch.float64)


def _vector(model: nn.Module, like: nn.Module | None = None) -> Tensor:
    layout = Layout.of(model)
    if like is not None and layout != Layout.of(like):
        raise ValueError("the nets of a path must have the same parameters and shapes")
    return layout.vector(dict(model.named_parameters()))


def bezier(
    first: nn.Module,
    second: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: int | str = "60ep",
    batch_size: int | None = 64,
    seed: int = 0,
) -> nn.Module:
    """The net at the control point θ of a curve of low loss between two nets, whose weights stay as they are.

    Garipov, Izmailov, Podoprikhin, Vetrov & Wilson 2018 (Loss surfaces, mode connectivity, and fast ensembling of
    DNNs): φ(α) = α²w₁ + 2α(1 − α)θ + (1 − α)²w₂; θ starts at ½(w₁ + w₂), and each step takes the gradient of one
    mini-batch's loss at φ(α), α uniform in [0, 1]: 2α(1 − α)∇L(φ(α)), so the mean of the loss over α is minimised.
    Batch norm uses the batch's statistics; θ's running statistics mean nothing, `curve_barrier` recomputes them.

    optimiser: SGD with momentum 0.9 by default, constant learning rate. seed: of the order of the data and of α.
    Raises ValueError where the nets differ in shapes, and where θ stops being finite.
    """
    ends = torch.stack([_vector(first), _vector(second, first)])
    batches = Batches([data], [derive(seed, "curve")], batch_size)
    total = num_steps(steps, batches.steps_per_epoch[0])
    rule, gradient = optimiser or Momentum(), _CurveGradient(first, ends, loss, seed)
    theta = ends.mean(0)
    state = rule.init(theta)
    alphas = torch.rand(total, generator=torch.Generator().manual_seed(derive(seed, "alpha")), dtype=torch.float64)
    for step, alpha in enumerate(alphas.tolist()):
        batch = batches(step)
        gradient.at(alpha, batch.x, batch.y)
        theta, state = rule.update(theta, state, gradient, step=step, learning_rate=rule.learning_rate)
    if not bool(theta.isfinite().all()):
        raise ValueError("training the curve diverged: take a smaller learning rate")
    return _with_weights(first, theta)


class _CurveGradient:
    """θ ↦ the gradient of a mini-batch's loss at the place α of the curve."""

    def __init__(self, model: nn.Module, ends: Tensor, loss_fn: LossFn, seed: int) -> None:
        self.layout = Layout.of(model)
        self.seeds: tuple[int, ...] = (seed,)
        self.loss = torch.empty(0)
        self._model, self._ends, self._loss_fn = copy.deepcopy(model).train(), ends, loss_fn

    def at(self, alpha: float, x: Tensor, y: Tensor) -> None:
        self._alpha, self._x, self._y = alpha, x, y

    def __call__(self, w: Tensor) -> Tensor:
        a = self._alpha
        fixed = a**2 * self._ends[0] + (1 - a) ** 2 * self._ends[1]
        place = (fixed + 2 * a * (1 - a) * w).detach().requires_grad_()
        with torch.enable_grad():
            value = self._loss_fn(functional_call(self._model, self.layout.named(place), (self._x,)), self._y)
            (slope,) = torch.autograd.grad(value, place)
        self.loss = value.detach()
        return 2 * a * (1 - a) * slope

    def full(self, w: Tensor) -> Tensor:
        raise ValueError("a curve's loss is an integral: it has no gradient on a whole training set")


@torch.no_grad()
def _with_weights(model: nn.Module, w: Tensor) -> nn.Module:
    made = copy.deepcopy(model)
    named = dict(made.named_parameters())
    for name, tensor in Layout.of(model).named(w).items():
        named[name].copy_(tensor)
    return made.eval()
