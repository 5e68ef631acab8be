"""What an optimiser gives, tried on a few weights before any training: an update of another kind ends a run late,
and in a traceback.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from atml_exp.build import building
from atml_exp.errors import SAID, BuildError, ConfigError
from atml_exp.layout import Layout

__all__ = [
    "ALONE",
    "PROTOCOL",
    "Quadratic",
    "called_on",
    "check_updates",
    "wrong_kind",
    "wrong_state",
    "wrong_target",
    "wrong_update",
]

PROTOCOL = "a frozen dataclass with learning_rate, init and update (atml_exp.optimisers.optimiser)"
CALLED = "init(self, w), and update(self, w, state, gradient, *, step, learning_rate), which gives (w, state)"
ALONE = "or stackable = False in the class, for single runs only"
STATE = "a mapping of names to tensors, each shaped like w or with its leading axes"
CURVATURES = (3.0, 1.0, 0.2, 0.1)
REPLICAS, STEPS = 3, 2


class Quadratic:
    """½Σh_i w_i² of weights (..., P): its gradient, as an optimiser is given it, with the loss of the last call.

    h: 3, 1, 0.2 and 0.1 over and over. layout: of the weights, by default four in one parameter.
    """

    def __init__(self, seeds: tuple[int, ...] = (0,), layout: Layout | None = None) -> None:
        self.seeds = seeds
        self.layout = Layout(("w",), (torch.Size([len(CURVATURES)]),)) if layout is None else layout
        self.loss = torch.zeros(())

    def __call__(self, w: Tensor) -> Tensor:
        self.loss = 0.5 * (self.full(w) * w).sum(-1)
        return self.full(w)

    def full(self, w: Tensor) -> Tensor:
        times = math.ceil(w.shape[-1] / len(CURVATURES))
        return torch.tensor(CURVATURES, dtype=w.dtype, device=w.device).repeat(times)[: w.shape[-1]] * w


def check_updates(optimiser: Any, layout: Layout, like: Tensor, name: str) -> None:
    """ConfigError or BuildError where an optimiser isn't of the protocol, or two steps of it on a quadratic don't
    give what training, checkpoints and populations need: of weights (P,), and, unless it says `stackable = False`,
    of three replicas (3, P) with learning rates of their own.

    Leaves the global random state alone. layout: of the model; the weights tried are its corner of at most two
    entries along each axis, and all of it for a rule that is made for that model and fails on the corner. like: a
    tensor of the run's type, on its device. name: as the config says.
    """
    if problem := wrong_kind(optimiser):
        raise ConfigError(f"optimiser = {name}: {problem}")
    if not layout.size:
        return
    corner = Layout(layout.names, tuple(torch.Size(min(n, 2) for n in shape) for shape in layout.shapes))
    with torch.random.fork_rng():
        try:
            _try_out(optimiser, corner, like, name)
        except SAID:
            if corner == layout:
                raise
            _try_out(optimiser, layout, like, name)


def _try_out(optimiser: Any, layout: Layout, like: Tensor, name: str) -> None:
    w = torch.linspace(-1, 1, layout.size, dtype=like.dtype, device=like.device)
    rate = optimiser.learning_rate
    _steps(optimiser, layout, w, rate, name)
    if getattr(optimiser, "stackable", True):
        factors = 1 + torch.arange(REPLICAS, dtype=like.dtype, device=like.device)
        _steps(optimiser, layout, torch.stack([w * f for f in factors]), rate / factors[:, None], name)


def _steps(optimiser: Any, layout: Layout, w: Tensor, rate: Any, name: str) -> None:
    of, allowed = called_on(w, rate)
    with _said(f"optimiser = {name}: the first state of {of}", allowed):
        state = optimiser.init(w)
    _refuse(wrong_state(state, w), f"optimiser = {name}: init")
    seeds = tuple(range(REPLICAS)) if w.dim() > 1 else (0,)
    for step in range(STEPS):
        with _said(f"optimiser = {name}: the update of {of}", allowed):
            given = optimiser.update(w, state, Quadratic(seeds, layout), step=step, learning_rate=rate)
        _refuse(wrong_update(given, w), f"optimiser = {name}: update")
        w, state = given


def called_on(w: Tensor, rate: Any) -> tuple[str, str]:
    """What init and update are given, in words, and how they are allowed to be."""
    if w.dim() == 1:
        return f"w {tuple(w.shape)}", CALLED
    of = f"w {tuple(w.shape)}, learning_rate {tuple(getattr(rate, 'shape', ()))}, of {len(w)} replicas"
    return of, f"{CALLED}, with a row of w and of learning_rate for each replica, {ALONE}"


def _refuse(problem: str | None, where: str) -> None:
    if problem:
        raise ConfigError(f"{where} {problem}")


def wrong_target(target: Any) -> str | None:
    """Why no optimiser can be made of a class, before any is; None where it can, and of other than classes."""
    if not isinstance(target, type):
        return None
    if issubclass(target, torch.optim.Optimizer):
        known = getattr(torch.optim, target.__name__, None) is target
        name = target.__name__ if known else "NAME of its own classes"
        return f"is one of torch's optimisers; allowed: optimiser=torch_optim optimiser.name={name}, or {PROTOCOL}"
    if not is_dataclass(target):
        return f"{target.__name__} isn't a dataclass; allowed: {PROTOCOL}, with @dataclass(frozen=True) above it"
    return None


def wrong_kind(optimiser: Any) -> str | None:
    """Why an object is no optimiser; None where it may be."""
    if isinstance(optimiser, partial):
        return f"isn't made, but waits for more options; allowed: {PROTOCOL}, made without _partial_: true"
    if isinstance(optimiser, type) or not is_dataclass(optimiser):
        return f"gave a {type(optimiser).__name__}; allowed: {PROTOCOL}"
    if lacking := [n for n in ("init", "update") if not callable(getattr(optimiser, n, None))]:
        return f"has no method {' and no method '.join(lacking)}; allowed: {PROTOCOL}"
    return _wrong_rate(optimiser)


def _wrong_rate(optimiser: Any) -> str | None:
    if not hasattr(optimiser, "learning_rate"):
        there = ", ".join(f.name for f in fields(optimiser)) or "none"
        return f"has no field learning_rate, which schedules multiply; its fields: {there}; allowed: {PROTOCOL}"
    rate = optimiser.learning_rate
    if isinstance(rate, bool) or not isinstance(rate, int | float | Tensor):
        return f"has learning_rate = {rate!r}; allowed: a number, which schedules multiply"
    return None


def wrong_state(state: Any, w: Tensor) -> str | None:
    """What is wrong with a state beside weights (P,) or (R, P), as the end of a sentence; None where nothing is.

    A checkpoint is one of named tensors; of a population's, row r is replica r's.
    """
    if not isinstance(state, Mapping):
        return f"gives the state {_kind(state)}; allowed: {STATE}, or {{}}"
    for name, value in state.items():
        if not isinstance(name, str):
            return f"gives a state with the name {name!r}; allowed: text"
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return f"gives a state whose {name!r} is {_kind(value)}; allowed: {STATE}"
        if w.dim() > 1 and value.shape[:1] != w.shape[:1]:
            return (
                f"gives a state whose {name!r} is of shape {tuple(value.shape)} beside w {tuple(w.shape)} of "
                f"{len(w)} replicas; allowed: a row for each, like w or with its leading axes, {ALONE}"
            )
    return None


def wrong_update(given: Any, w: Tensor) -> str | None:
    """What is wrong with what an update of w gave, as the end of a sentence; None where nothing is."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        many = f" of {len(given)}" if isinstance(given, tuple | list) else ""
        return f"gives {_kind(given)}{many}; allowed: the pair (w, state)"
    new, state = given
    if not isinstance(new, Tensor):
        return f"gives {_kind(new)} for w; allowed: the pair (w, state), w a tensor {tuple(w.shape)}"
    for what in ("shape", "dtype", "device"):
        found, expected = (getattr(t, what) for t in (new, w))
        if found != expected:
            found, expected = (tuple(s) if what == "shape" else s for s in (found, expected))
            return f"gives w of {what} {found} for one of {expected}; allowed: the same"
    return wrong_state(state, w)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a {'' if value.layout == torch.strided else 'sparse '}tensor {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@contextmanager
def _said(what: str, allowed: str) -> Iterator[None]:
    """As `building`, with what is allowed."""
    try:
        yield
    except SAID:
        raise
    except Exception as error:
        try:
            with building(what):
                raise
        except (BuildError, ConfigError) as said:
            raise type(said)(f"{said}; allowed: {allowed}") from error
