"""The contract of an update rule as an executable check: pure, repeatable, for replicas as for each alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from atml_exp.layout import Layout
from atml_exp.optimisers.optimiser import stack

__all__ = ["Quadratic", "check_optimiser"]

CURVATURES = (3.0, 1.0, 0.2, 0.1)
START = (1.0, -2.0, 0.5, 0.3)


class Quadratic:
    """½Σh_i w_i² of weights (..., 4): its gradient, as an optimiser is given it, with the loss of the last call."""

    layout = Layout(("w",), (torch.Size([len(CURVATURES)]),))

    def __init__(self, seeds: tuple[int, ...] = (0,)) -> None:
        self.seeds = seeds
        self.loss = torch.zeros(())

    def __call__(self, w: Tensor) -> Tensor:
        self.loss = 0.5 * (self.full(w) * w).sum(-1)
        return self.full(w)

    def full(self, w: Tensor) -> Tensor:
        return torch.tensor(CURVATURES, dtype=w.dtype) * w


def check_optimiser(rule: Any, *, steps: int = 20) -> None:
    """On a quadratic in float64: weights and state aren't changed in place, the same call gives the same again, and
    two replicas, one with half the learning rate, give what each gives alone. AssertionError with a sentence.

    rule: a frozen dataclass with `learning_rate`, `init` and `update`, see `atml_exp.optimisers.optimiser`.
    One with `stackable = False`, for single runs only, is not asked for replicas.
    """
    w = torch.tensor(START, dtype=torch.float64)
    _check_pure(rule, w)
    if getattr(rule, "stackable", True):
        _check_stacks(rule, w, steps)


def _check_stacks(rule: Any, w: Tensor, steps: int) -> None:
    other = replace(rule, learning_rate=rule.learning_rate / 2)
    both = torch.stack([w, 2 * w])
    together = _run(stack([rule, other], like=w), both, (0, 1), steps)
    for r, each in enumerate((rule, other)):
        alone = _run(each, both[r], (r,), steps)
        assert torch.isfinite(alone).all(), "it diverges on a quadratic of curvature 3: lower its learning rate"
        if not torch.allclose(together[r], alone, rtol=1e-12, atol=1e-15):
            off = (together[r] - alone).abs().max().item()
            raise AssertionError(f"replica {r} of two differs from the same alone by up to {off:.1e}")


def _check_pure(rule: Any, w: Tensor) -> None:
    state = rule.init(w)
    before = w.clone(), {name: tensor.clone() for name, tensor in state.items()}
    results = [rule.update(w, state, Quadratic(), step=0, learning_rate=rule.learning_rate)[0] for _ in range(2)]
    assert torch.equal(w, before[0]), "update wrote into the weights in place"
    for name, tensor in before[1].items():
        assert torch.equal(state[name], tensor), f"update wrote into the state's {name!r} in place"
    assert torch.equal(*results), "update, called twice with the same, gave two results"


def _run(rule: Any, w: Tensor, seeds: Sequence[int], steps: int) -> Tensor:
    state = rule.init(w)
    for t in range(steps):
        w, state = rule.update(w, state, Quadratic(tuple(seeds)), step=t, learning_rate=rule.learning_rate)
    return w
