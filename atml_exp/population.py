"""R models of one architecture as one stacked state; R = 1 is the ordinary case, without vmap.

The weights of replica r are row r of a matrix `w` (R, P), or the vector `w` (P,) itself when R = 1: updates are
a few passes over contiguous memory, whatever the number of layers. A replica's numbers equal those of the same
job run alone, since every draw comes from its own seed and no operation mixes rows.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from atml_exp.batches import Batch
from atml_exp.errors import ConfigError
from atml_exp.layout import Layout
from atml_exp.optimisers.optimiser import Optimiser, State
from atml_exp.padding import Padding, pad
from atml_exp.seeds import seeded_globally
from atml_exp.targets import Carried
from atml_exp.tracing import traced

__all__ = [
    "BatchGradient",
    "Loss",
    "Population",
    "assemble",
    "draws_randomness",
    "is_known",
    "mixes_examples",
    "update",
]

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Population:
    """What training changes, and the module that gives it meaning. Frozen: a step makes a new one.

    model: the architecture in training mode; its own tensors are scratch space.
    w: (P,) or (R, P). buffers: each (…) or (R, …), batch-norm statistics and parameters that aren't trained.
    state: the optimiser's. step: where in the schedule it is. began: the step at which the optimiser began. loss:
    of the latest mini-batch, () or (R,).
    mask: True where a weight is trained, False where it has been pruned and stays 0, shaped like w; None: all are.
    padding: where the replicas differ in width; w is then in the layout of the widest.
    seeds: one for each replica. recordable: the model's code is known to do the same operations at each step.
    recorded: the gradient as operations, for each shape of a mini-batch.
    """

    model: nn.Module
    layout: Layout
    w: Tensor
    buffers: dict[str, Tensor]
    state: State
    seeds: tuple[int, ...]
    step: int = 0
    began: int = 0
    loss: Tensor | None = None
    mask: Tensor | None = None
    padding: Padding | None = None
    stochastic: bool = False
    recordable: bool = False
    recorded: dict[Any, Callable[..., Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """R."""
        return len(self.seeds)

    @property
    def stacked(self) -> bool:
        return self.size > 1

    def replica(self, r: int) -> dict[str, Tensor]:
        """Parameters and buffers of replica r by name, as in its state_dict: views where it isn't padded."""
        row = self.w[r] if self.stacked else self.w
        buffers = {n: b[r] for n, b in self.buffers.items()} if self.stacked else self.buffers
        return {**self._named(r, row), **buffers}

    def model_of(self, r: int) -> nn.Module:
        """The module that gives the weights of replica r their meaning."""
        return self.model if self.padding is None else self.padding.models[r]

    def alike(self, replicas: Sequence[int]) -> list[list[int]]:
        """The replicas in groups of one width."""
        if self.padding is None:
            return [list(replicas)]
        found: dict[Layout, list[int]] = {}
        for r in replicas:
            found.setdefault(self.padding.layouts[r], []).append(r)
        return list(found.values())

    def named_of(self, replicas: Sequence[int]) -> dict[str, Tensor]:
        """Parameters and buffers by name, stacked (len(replicas), …), of replicas of one width."""
        if len(replicas) == self.size and self.padding is None:
            return {**self.layout.named(self.w), **self.buffers}
        each = [self.replica(r) for r in replicas]
        return {name: torch.stack([one[name] for one in each]) for name in each[0]}

    def optimiser_state(self, r: int) -> State:
        """The optimiser's state of replica r: views where its width is the widest."""
        state = {n: s[r] for n, s in self.state.items()} if self.stacked else self.state
        return state if self.padding is None else {n: self.padding.own(r, s) for n, s in state.items()}

    def row(self, r: int, vector: Tensor) -> Tensor:
        """A vector of replica r's weights, or of its optimiser's state, as a row of the population's."""
        return vector if self.padding is None else self.padding.widened(r, vector)

    def vector(self, r: int, named: Mapping[str, Tensor]) -> Tensor:
        """A row of w (P,) from parameters of replica r by name."""
        layout = self.layout if self.padding is None else self.padding.layouts[r]
        return self.row(r, layout.vector(named))

    def _named(self, r: int, row: Tensor) -> dict[str, Tensor]:
        if self.padding is None:
            return self.layout.named(row)
        return self.padding.layouts[r].named(self.padding.own(r, row))

    def masked(self, mask: Tensor) -> "Population":
        """With the weights where the mask is 0 or False pruned; the optimiser starts anew."""
        mask = mask.to(self.w.device, torch.bool)
        return replace(self, w=_only(self.w, mask), mask=mask, state={}, began=self.step)

    def at(self, step: int) -> "Population":
        """The same weights at another place of the schedule and of the order of the data."""
        return replace(self, step=step, began=self.began + step - self.step)

    @property
    def updates(self) -> int:
        """How many the optimiser has made since it began."""
        return self.step - self.began

    @property
    def kept(self) -> Tensor:
        """The mask, all True where there is none."""
        return torch.ones_like(self.w, dtype=torch.bool) if self.mask is None else self.mask

    def named_mask(self, r: int) -> dict[str, Tensor]:
        """The mask of replica r by the parameters' names."""
        return self._named(r, self.kept[r] if self.stacked else self.kept)

    @property
    def live(self) -> Tensor | None:
        """True where an update may change a weight: neither pruned nor beyond its replica's width; None: all."""
        if self.padding is None or self.mask is None:
            return self.mask if self.padding is None else self.padding.mask
        return self.mask & self.padding.mask

    def finite(self) -> list[bool]:
        """Whether each replica's weights are all finite."""
        return torch.isfinite(self.w).all(-1).reshape(-1).tolist()


def assemble(
    models: Sequence[nn.Module],
    seeds: Sequence[int],
    *,
    stochastic: bool = False,
    recorded: dict[Any, Callable[..., Any]] | None = None,
) -> Population:
    """A population before its first step, from modules of one architecture (their weights are copied).

    Modules that differ only in width are padded, see `atml_exp.padding`.

    recorded: the steps recorded for other populations of this architecture.

    Raises ConfigError for R > 1 where the architectures differ or a training-mode forward pass draws random
    numbers (dropout): a draw can't come from each replica's own generator inside vmap.
    """
    if stochastic and len(models) > 1:
        raise ConfigError(
            "model: its training pass draws random numbers (dropout?), which can't be seeded replica by replica "
            "in one stacked population: train its replicas one by one"
        )
    widest = max(models, key=lambda m: Layout.of(m).size)
    layout, padding = Layout.of(widest), None
    own = [Layout.of(m).vector(dict(m.named_parameters())) for m in models]
    if any(Layout.of(m) != layout for m in models):
        padding = pad(models, layout)
        if padding is None:
            raise ConfigError("model: the replicas of a population must have the same parameters and shapes")
    rows = own if padding is None else [padding.widened(r, w) for r, w in enumerate(own)]
    buffers = [_untrained(m, layout) for m in models]
    stacked = len(models) > 1
    return Population(
        model=widest.train(),
        layout=layout,
        padding=padding,
        w=torch.stack(rows) if stacked else rows[0],
        buffers={n: torch.stack([b[n] for b in buffers]) for n in buffers[0]} if stacked else buffers[0],
        state={},
        seeds=tuple(seeds),
        stochastic=stochastic,
        recordable=all(is_known(type(module)) for module in models[0].modules()),
        recorded={} if recorded is None else recorded,
    )


def _untrained(model: nn.Module, layout: Layout) -> dict[str, Tensor]:
    trained = set(layout.names)
    fixed = {n: p.detach() for n, p in model.named_parameters() if n not in trained}
    return {n: t.clone() for n, t in {**fixed, **dict(model.named_buffers())}.items()}


KNOWN = ("atml_exp.", "torch.nn.", "torchvision.models.")


def is_known(code: Any) -> bool:
    """Whether a class or function is ours or torch's, which neither branch on values nor count their calls; or says
    so of itself by `recordable = True`. Of anybody else's code no number of comparisons would show it.
    """
    return bool(getattr(code, "recordable", False)) or f"{code.__module__}.".startswith(KNOWN)


def draws_randomness(model: nn.Module, x: Tensor, y: Tensor, loss_fn: Loss) -> bool:
    """Whether the loss of a training-mode forward pass draws from torch's global generators. Changes nothing."""
    mode = {m: m.training for m in model.modules()}
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    with torch.random.fork_rng(), torch.no_grad():
        before = _generator_states(x.device)
        loss_fn(functional_call(model.train(), buffers, (x,)), y)
        after = _generator_states(x.device)
    for m, training in mode.items():
        m.training = training
    return any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def mixes_examples(model: nn.Module, x: Tensor) -> bool:
    """Whether in training mode an example's outputs depend on those beside it, or statistics are kept of them."""
    if any(True for _ in model.buffers()):
        return True
    copied = copy.deepcopy(model).train()
    x = x if len(x) > 1 else torch.cat([x, -x])  # a single example needs company
    with torch.random.fork_rng(), torch.no_grad():
        few, among_others = copied(x[: len(x) // 2]), copied(x)[: len(x) // 2]
    return not torch.allclose(few, among_others, rtol=1e-4, atol=1e-4 * few.abs().max().item())


def _generator_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


class BatchGradient:
    """The gradient of one mini-batch's loss as a function of w; also the loss and the buffers after its first call.

    Only the first call's batch-norm statistics are kept, so that SAM and line searches don't update them twice.
    whole: the whole training set, for rules that ask for its gradient too.
    """

    def __init__(
        self, population: Population, loss_fn: Loss, batch: Batch, whole: Callable[[], Batch] | None = None
    ) -> None:
        self.layout = population.layout
        self.seeds = population.seeds
        self.buffers = population.buffers
        self.loss = torch.empty(0)
        self._calls = 0
        self._population = population
        self._loss_fn = loss_fn
        self._batch = batch
        self._whole = whole

    def __call__(self, w: Tensor) -> Tensor:
        buffers = {n: b.clone() for n, b in self._population.buffers.items()}
        batch = self._batch
        if self._population.stochastic:
            with seeded_globally(self._population.seeds[0], "forward", self._population.step, self._calls):
                g, self.loss = self._function(w, buffers, batch.x, batch.y)
        else:
            g, self.loss = self._step(w, buffers)(w, buffers, batch.x, batch.y)
        if self._calls == 0:
            self.buffers = buffers
        self._calls += 1
        live = self._population.live
        return g if live is None else _only(g, live)

    def full(self, w: Tensor) -> Tensor:
        """The gradient on the whole training set, which neither counts as a call nor leaves statistics."""
        if self._whole is None:
            raise ValueError("the whole training set isn't known here, and this rule asks for its gradient")
        return BatchGradient(self._population, self._loss_fn, self._whole())(w)

    def _step(self, w: Tensor, buffers: dict[str, Tensor]) -> Callable[..., Any]:
        """The gradient as operations, recorded at the first mini-batch of a shape; as it is where it can't be known
        that the operations are always the same.
        """
        loss = _named(self._loss_fn)
        if loss is None or not self._population.recordable:
            return self._function
        batch, recorded = self._batch, self._population.recorded
        kinds = [(t.shape, t.dtype) for t in (w, batch.x, batch.y)]
        key = (loss, *kinds, self._axes, batch.sizes)
        if key not in recorded:
            alone = not self._population.stacked
            recorded[key] = traced(self._function, w, buffers, batch.x, batch.y, exact=alone)
        return recorded[key]

    @property
    def _axes(self) -> tuple[int | None, ...]:
        return (0, 0, 0 if self._batch.x_stacked else None, 0 if self._batch.y_stacked else None)

    @property
    def _function(self) -> Callable[..., Any]:
        """(w, buffers, x, y) → (gradient, loss); new batch-norm statistics are written into buffers."""
        losses = self._losses

        def gradient(w: Tensor, buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            w = w.detach().requires_grad_()
            with torch.enable_grad():
                each = losses(w, buffers, x, y)
                (g,) = torch.autograd.grad(each.sum(), w)  # no loss depends on another replica's weights
            return g, each.detach()

        return gradient

    @property
    def _losses(self) -> Callable[..., Tensor]:
        """(w, buffers, x, y) → the loss, (R,) where stacked."""
        model, layout, loss_fn, axes = self._population.model, self.layout, self._loss_fn, self._axes

        def outputs(w: Tensor, buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(model, {**layout.named(w), **buffers}, (x,))

        def loss(w: Tensor, buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return loss_fn(outputs(w, buffers, x), y)

        if not self._population.stacked:
            return loss
        if not self._batch.sizes:
            return vmap(loss, in_dims=axes)
        counts, sizes = zip(*self._batch.sizes, strict=True)

        def by_size(w: Tensor, buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            """What fills the shorter rows is left out of their losses, and so has no gradient."""
            parts = zip(
                vmap(outputs, in_dims=axes[:3])(w, buffers, x).split(counts), y.split(counts), sizes, strict=True
            )
            return torch.cat([vmap(loss_fn)(o[:, :size], t[:, :size]) for o, t, size in parts])

        return by_size


def _named(loss_fn: Loss) -> tuple[Any, str] | None:
    """The function behind a loss and its options, equal for losses that are built from equal configs.

    None where its code isn't known or an option isn't a plain value.
    """
    if isinstance(loss_fn, Carried):
        inner = _named(loss_fn.loss)
        return inner and (inner[0], f"{inner[1]} {loss_fn.columns} {loss_fn.options}")
    whole = loss_fn if isinstance(loss_fn, partial) else partial(loss_fn)
    fn, options = whole.func, whole.keywords
    plain = not whole.args and all(isinstance(v, bool | int | float | str | None) for v in options.values())
    if not plain or not hasattr(fn, "__module__") or not is_known(fn):
        return None
    return fn, repr(sorted(options.items()))


def update(
    population: Population,
    optimiser: Optimiser,
    loss_fn: Loss,
    batch: Batch,
    learning_rate: Any,
    whole: Callable[[], Batch] | None = None,
) -> Population:
    """The population after one step of the optimiser on one mini-batch: the same function for every R.

    whole: gives the whole training set, for the rules that ask for it.
    """
    gradient = BatchGradient(population, loss_fn, batch, whole)
    w, state = optimiser.update(
        population.w, population.state, gradient, step=population.updates, learning_rate=learning_rate
    )
    if (live := population.live) is not None:
        w = _only(w, live)
    return replace(
        population, w=w, state=state, buffers=gradient.buffers, step=population.step + 1, loss=gradient.loss
    )


def _only(values: Tensor, mask: Tensor) -> Tensor:
    """The values with 0 where the mask is False, and not −0, nor NaN where they overflowed."""
    return values.masked_fill(~mask, 0.0)
