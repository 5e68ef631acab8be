"""Algorithmic stability: how far nets come apart that were trained on sets which differ in one example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from atml_exp.batches import Batches
from atml_exp.data import Dataset, Split
from atml_exp.datasets.wrappers.swapped_example import swapped_example
from atml_exp.fields import Duration, NonNegative, NonNegativeInt, PositiveInt
from atml_exp.linear_part import linear_part
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.optimisers.schedules.inverse_time import inverse_time
from atml_exp.optimisers.sgd import SGD
from atml_exp.population import Population
from atml_exp.probe import Value
from atml_exp.probes.features import predict_each
from atml_exp.probes.loss_trajectory import example_losses
from atml_exp.schedule import num_steps
from atml_exp.seeds import derive, generator
from atml_exp.siblings import trained_together

__all__ = ["algorithmic_stability"]

LossFn = Callable[[Tensor, Tensor], Tensor]


def algorithmic_stability(
    model: nn.Module,
    data: Dataset,
    *,
    loss: LossFn = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: Duration = "10ep",
    batch_size: PositiveInt | None = 1,
    replacement: bool = True,
    decay: NonNegative = 0.0,
    pairs: PositiveInt = 20,
    points: PositiveInt = 10,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Pairs of copies of the net are trained on, one on S, one on S with one example replaced; how they differ.

    Hardt, Recht & Singer (2016), Train faster, generalize better. Both of a pair start at the net's weights w_0 and
    see the same stream of indices; each pair has a stream, an index i and a donor z̃ of its own, drawn by `seed`,
    and z̃, a test example, stands in S′ for z_i. δ_t = ‖w_t − w′_t‖ over the trained weights. Means over pairs
    estimate expectations over stream and replacement; `atml_exp.stability` has bounds for them.

    optimiser: SGD with η = 0.1 by default, from its initial state. decay: η_t = η/(1 + decay·t). replacement: see
    `Batches`. points: at how many steps, evenly spaced from 0 to the last, losses are compared. Losses are those of
    eval mode, without a penalty of the optimiser's.

    Of the last step: `divergence` δ_T; `difference` max_z |ℓ(w, z) − ℓ(w′, z)| over S and the test split, each
    a mean over pairs; `train_loss` and `test_loss` of the copies on S (no donor is among what they saw), and `gap`,
    the second less the first; `replacement_gap`, the mean of [ℓ(w′, z_i) − ℓ(w, z_i) + ℓ(w, z̃) − ℓ(w′, z̃)]/2: its
    expectation over S and z̃ is that of the gap, without a test set, and it is never above `difference`.

    Over all steps: `before_draw`, the largest δ_t before i was first drawn: 0 exactly; `growth_undrawn`, the
    largest δ_{t+1} − δ_t of a step that didn't draw i; `growth_drawn`, the largest (δ_{t+1} − δ_t)/(η_t c/B) of one
    that drew it c times into its B; both 0 where there was no such step. With plain SGD on a convex loss the first
    is ≤ 0 for η ≤ 2/β and the second ≤ 2L.

    Arrays: `mean` (T + 1,) of δ_t; of the first pair `path` (T + 1,) and `draws` (T + 1,), how many steps before t
    drew i; `learning_rate` (T,); `at` (M,) steps, and at these `differences`, `gaps`, `replacement_gaps`.
    For models that are linear in what is trained `radius`, the largest norm of an example's features in S or test,
    with the 1 of a bias: what L and β follow from.

    The weights of all steps are in memory: 2 × pairs × T × P numbers. Raises ValueError where a copy diverges, and
    for fewer than 2 points; ConfigError where the training pass draws random numbers (dropout).
    """
    if points < 2:
        raise ValueError(f"points is {points}: at least 2, the first step and the last")
    plan = _Plan.drawn(data, pairs, seed)
    batches = Batches([data.train] * pairs, plan.streams, batch_size, replacement=replacement)
    total = num_steps(steps, batches.steps_per_epoch[0])
    at = sorted(set(torch.linspace(0, total, points).round().long().tolist()))
    one, other = (_Seen(model, data, loss, frozenset(at)) for _ in range(2))
    for splits, seen in (([data.train] * pairs, one), (plan.others, other)):
        trained_together(
            model,
            splits,
            plan.streams,
            loss=loss,
            optimiser=optimiser or SGD(),
            steps=steps,
            batch_size=batch_size,
            schedules=[partial(inverse_time, decay=decay)] if decay > 0 else [],
            replacement=replacement,
            watch=seen,
        )
    paths = _paths(_distances(one, other), one.rates[:-1], _shares(batches, plan, total))
    return paths | _losses(one, other, plan, at) | _radius(model, data)


@dataclass(frozen=True)
class _Plan:
    """K pairs: others[k] has example index[k] replaced by test example donor[k], and streams[k] is a seed."""

    index: Tensor
    donor: Tensor
    others: list[Split]
    streams: list[int]

    @classmethod
    def drawn(cls, data: Dataset, pairs: int, seed: int) -> "_Plan":
        draw = generator(seed, "algorithmic_stability")
        index, donor = (torch.randint(len(s), (pairs,), generator=draw) for s in (data.train, data.test))
        others = [
            swapped_example(data, 0, index=int(i), donor=int(j)).train for i, j in zip(index, donor, strict=True)
        ]
        return cls(index, donor, others, [derive(seed, "algorithmic_stability", k) for k in range(pairs)])


@dataclass
class _Seen:
    """What is kept of the copies on one side: weights (K, P) of each step, losses (K, N) of some, in float64.

    The two sides are populations of the same shape, where a copy has the same place in both: what is the same is so
    to the last digit, whatever the order of summation.
    """

    model: nn.Module
    data: Dataset
    loss: LossFn
    at: frozenset[int]
    weights: list[Tensor] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def __call__(self, population: Population, learning_rate: float) -> None:
        self.weights.append(population.w.reshape(population.size, -1))
        self.rates.append(float(learning_rate))
        if population.step in self.at:
            self.losses.append(self._of_examples(population))

    def _of_examples(self, population: Population) -> Tensor:
        """(K, N): of all of S and then of the test split."""
        train, test = self.data.train, self.data.test
        x, y = torch.cat([train.x, test.x]), torch.cat([train.y, test.y])
        copies = [population.replica(r) for r in range(population.size)]
        state = {name: torch.stack([copy[name] for copy in copies]) for name in copies[0]}
        outputs = predict_each(self.model, state, [x] * len(copies))
        return example_losses(outputs, y.expand(len(copies), *y.shape), self.loss).to(torch.float64)


def _distances(one: _Seen, other: _Seen) -> Tensor:
    """δ (T + 1, K)."""
    norm = partial(torch.linalg.vector_norm, dim=1, dtype=torch.float64)
    return torch.stack([norm(a - b) for a, b in zip(one.weights, other.weights, strict=True)])


def _shares(batches: Batches, plan: _Plan, total: int) -> Tensor:
    """(T, K): how large a part of each step's batch is the pair's example."""
    index = plan.index.to(plan.others[0].x.device)[:, None]
    rows = [(batches.index(t).expand(len(index), -1) == index).double().mean(1) for t in range(total)]
    return torch.stack(rows) if rows else torch.zeros(0, len(index), dtype=torch.float64, device=index.device)


def _paths(distance: Tensor, learning_rates: Sequence[float], share: Tensor) -> dict[str, Value]:
    """distance: δ (T + 1, K). share: see `_shares`."""
    rates = torch.tensor(learning_rates, dtype=torch.float64, device=share.device)
    growth, drawn = distance.diff(dim=0), share > 0
    before = torch.cat([share.new_zeros(1, share.shape[1]), share.cumsum(0)]) == 0
    draws = torch.cat([rates.new_zeros(1), drawn[:, 0].double().cumsum(0)])
    return {
        "divergence": float(distance[-1].mean()),
        "before_draw": _largest(distance[before]),
        "growth_undrawn": _largest(growth[~drawn]),
        "growth_drawn": _largest((growth / (rates[:, None] * share))[drawn]),
        "mean": distance.mean(1),
        "path": distance[:, 0],
        "draws": draws,
        "learning_rate": rates,
    }


def _losses(seen: _Seen, beside: _Seen, plan: _Plan, at: list[int]) -> dict[str, Value]:
    n, one, other = len(seen.data.train), torch.stack(seen.losses), torch.stack(beside.losses)  # (M, K, N)
    differences = (one - other).abs().amax(-1).mean(-1)
    train, test = one[..., :n].mean((-1, -2)), one[..., n:].mean((-1, -2))
    pair = torch.arange(len(plan.index), device=one.device)
    gone, come = (i.to(one.device) for i in (plan.index, n + plan.donor))
    apart = other - one
    replaced = (apart[:, pair, gone] - apart[:, pair, come]).mean(-1) / 2
    return {
        "difference": float(differences[-1]),
        "train_loss": float(train[-1]),
        "test_loss": float(test[-1]),
        "gap": float(test[-1] - train[-1]),
        "replacement_gap": float(replaced[-1]),
        "at": torch.tensor(at),
        "differences": differences,
        "gaps": test - train,
        "replacement_gaps": replaced,
    }


def _radius(model: nn.Module, data: Dataset) -> dict[str, Value]:
    try:
        found = [linear_part(model, split.x).features.norm(dim=1).max() for split in (data.train, data.test)]
    except ValueError:
        return {}
    return {"radius": float(max(found))}


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0
