"""The contract of an update rule as an executable check: pure, repeatable, for replicas as for each alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from atml_exp.breaches import breaches_of, require, trying
from atml_exp.optimiser_updates import (
    ALONE,
    PROTOCOL,
    Quadratic,
    called_on,
    wrong_kind,
    wrong_state,
    wrong_update,
)
from atml_exp.optimisers.optimiser import State, stack

__all__ = ["Quadratic", "check_optimiser"]

START = (1.0, -2.0, 0.5, 0.3)


def check_optimiser(rule: Any, *, steps: int = 20) -> None:
    """On a quadratic in float64: weights and state aren't changed in place, the same call gives the same again, the
    scheduled learning rate counts and not the rule's own, the state keeps its names, and two replicas, one with
    half the learning rate, give what each gives alone. AssertionError with a sentence.

    rule: a frozen dataclass with `learning_rate`, `init` and `update`, see `atml_exp.optimisers.optimiser`.
    One with `stackable = False`, for single runs only, is not asked for replicas, nor for a state of fixed names.
    """
    kind = rule if isinstance(rule, type) else type(rule)
    with breaches_of(f"the optimiser {kind.__name__}"), trying("it", PROTOCOL):
        _fits(wrong_kind(rule), "it")
        w = torch.tensor(START, dtype=torch.float64)
        _check_pure(rule, w)
        _check_takes_rate(rule, w)
        if _is_stackable(rule):
            _check_stacks(rule, w, steps)


def _check_stacks(rule: Any, w: Tensor, steps: int) -> None:
    other = replace(rule, learning_rate=rule.learning_rate / 2)
    both = torch.stack([w, 2 * w])
    together = _run(stack([rule, other], like=w), both, (0, 1), steps)
    for r, each in enumerate((rule, other)):
        alone = _run(each, both[r], (r,), steps)
        require(
            bool(torch.isfinite(alone).all()),
            "it diverges on a quadratic of curvature 3: lower its learning rate",
        )
        if not torch.allclose(together[r], alone, rtol=1e-12, atol=1e-15):
            off = (together[r] - alone).abs().max().item()
            raise AssertionError(
                f"replica {r} of two differs from the same alone by up to {off:.1e}; allowed: rows that don't mix, "
                f"{ALONE}"
            )


def _check_pure(rule: Any, w: Tensor) -> None:
    state = _first_state(rule, w)
    before = w.clone(), {name: tensor.clone() for name, tensor in state.items()}
    results = [_updated(rule, w, state, (0,), 0, rule.learning_rate)[0] for _ in range(2)]
    require(torch.equal(w, before[0]), "update wrote into the weights in place")
    for name, tensor in before[1].items():
        require(torch.equal(state[name], tensor), f"update wrote into the state's {name!r} in place")
    require(torch.equal(*results), "update, called twice with the same, gave two results")


def _check_takes_rate(rule: Any, w: Tensor) -> None:
    """Breached where another argument changes nothing and another field does. A rule for which neither counts, a
    line search, or which divides one by the other, keeps it.
    """
    rate = 0.7 * rule.learning_rate
    given, other = (_run(rule, w, (0,), 3, r) for r in (rule.learning_rate, rate))
    if torch.equal(given, other) and not torch.equal(other, _run(replace(rule, learning_rate=rate), w, (0,), 3)):
        raise AssertionError(
            "update takes self.learning_rate and ignores its argument learning_rate, so that every schedule is "
            "ignored; allowed: the argument, which is self.learning_rate times the schedule's factor"
        )


def _run(rule: Any, w: Tensor, seeds: Sequence[int], steps: int, rate: Any = None) -> Tensor:
    state = _first_state(rule, w)
    names = set(state)
    for t in range(steps):
        w, state = _updated(rule, w, state, tuple(seeds), t, rule.learning_rate if rate is None else rate)
        require(
            set(state) == names or not _is_stackable(rule),
            f"the state's names changed at step {t} from {_listed(names)} to {_listed(state)}; allowed: those of "
            f"init throughout, {ALONE}",
        )
    return w


def _first_state(rule: Any, w: Tensor) -> State:
    of, allowed = called_on(w, rule.learning_rate)
    with trying(f"the first state of {of}", allowed):
        state: State = rule.init(w)
    _fits(wrong_state(state, w), "init")
    return state


def _updated(
    rule: Any, w: Tensor, state: State, seeds: tuple[int, ...], step: int, rate: Any
) -> tuple[Tensor, State]:
    of, allowed = called_on(w, rate)
    with trying(f"the update of {of}", allowed):
        given: tuple[Tensor, State] = rule.update(w, state, Quadratic(seeds), step=step, learning_rate=rate)
    _fits(wrong_update(given, w), "update")
    return given


def _fits(problem: str | None, who: str) -> None:
    require(problem is None, f"{who} {problem}")


def _is_stackable(rule: Any) -> bool:
    return bool(getattr(rule, "stackable", True))


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
