"""Each breach of an update rule's contract is found and named (ours keep it: tests/optimisers)."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from atml_exp.optimiser_checks import check_optimiser
from atml_exp.optimisers.momentum import Momentum


@dataclass(frozen=True)
class Rule:
    """Gradient descent with momentum, done wrong in one way or another."""

    how: str = ""
    learning_rate: Any = 0.1

    def init(self, w):
        return {"v": torch.zeros_like(w)}

    def update(self, w, state, gradient, *, step, learning_rate):
        v = state["v"]
        if self.how == "state in place":
            v += 1
        if self.how == "weights in place":
            w -= 0.1
        v = 0.5 * v + gradient(w)
        if self.how == "norm of all":
            v = v / v.norm()
        if self.how == "global noise":
            v = v + torch.rand(())
        if self.how == "only one seed":
            v = v + len(gradient.seeds)
        return w - learning_rate * v, {"v": v}


def test_rules_that_keep_it_pass():
    check_optimiser(Rule())
    check_optimiser(Momentum(0.1))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("state in place", "wrote into the state's 'v' in place"),
        ("weights in place", "wrote into the weights in place"),
        ("norm of all", "replica 0 of two differs from the same alone"),
        ("global noise", "called twice with the same, gave two results"),
        ("only one seed", "replica 0 of two differs"),
    ],
)
def test_each_breach_is_found_and_named(how, message):
    with pytest.raises(AssertionError, match=message):
        check_optimiser(Rule(how))


def test_a_step_size_with_which_nothing_can_be_said_is_named():
    with pytest.raises(AssertionError, match="it diverges on a quadratic of curvature 3"):
        check_optimiser(Rule(learning_rate=1e200))
