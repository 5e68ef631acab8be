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


@dataclass(frozen=True)
class Changed:
    """Gradient descent with one method or another in place of its own."""

    first: Any = lambda w: {}
    then: Any = lambda self, w, state, g, step, rate: (w - rate * g(w), state)
    learning_rate: Any = 0.1

    def init(self, w):
        return self.first(w)

    def update(self, w, state, gradient, *, step, learning_rate):
        return self.then(self, w, state, gradient, step, learning_rate)


@dataclass(frozen=True)
class Single(Changed):
    stackable = False


def own_rate(self, w, state, g, step, rate):
    return w - self.learning_rate * g(w), state


def from_step_two(self, w, state, g, step, rate):
    return w - rate * g(w), state if step < 2 else {**state, "late": w}


SAID = {
    "own rate": (Changed(then=own_rate), "takes self.learning_rate and ignores its argument learning_rate"),
    "names": (
        Changed(then=from_step_two),
        "the state's names changed at step 2 from none to late; allowed: those of init throughout, or stackable = ",
    ),
    "alpha": (
        Changed(then=lambda self, w, s, g, t, rate: (w.add(g(w), alpha=-rate), s)),
        "the update of w (2, 4), learning_rate (2, 1), of 2 replicas failed: ",
    ),
    "float": (
        Changed(then=lambda self, w, s, g, t, rate: (w - float(rate) * g(w), s)),
        "with a row of w and of learning_rate for each replica, or stackable = False in the class",
    ),
    "init None": (Changed(lambda w: None), "init gives the state None; allowed: a mapping of names to tensors"),
    "an int": (Changed(lambda w: {"t": 0}), "init gives a state whose 't' is an int; allowed: a mapping of names"),
    "w alone": (Changed(then=lambda self, w, *_: w), "update gives a tensor (4,); allowed: the pair (w, state)"),
    "no rate": (Changed(learning_rate=None), "it has learning_rate = None; allowed: a number"),
    "an assert": (Changed(then=lambda *_: exec("assert False")), "the update of w (4,) failed: AssertionError"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_does_not_fit_is_one_sentence_with_the_name(name):
    rule, said = SAID[name]
    with pytest.raises(AssertionError) as error:
        check_optimiser(rule)
    assert str(error.value).startswith("the optimiser Changed: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["alpha", "float"])
def test_an_exception_of_theirs_is_the_cause(name):
    with pytest.raises(AssertionError) as error:
        check_optimiser(SAID[name][0])
    assert isinstance(error.value.__cause__, TypeError | RuntimeError | ValueError)


@pytest.mark.parametrize("name", ["names", "alpha", "float"])
def test_rules_for_single_runs_are_not_asked_for_replicas(name):
    rule = SAID[name][0]
    check_optimiser(Single(rule.first, rule.then))
    with pytest.raises(AssertionError, match=r"the optimiser Single: update takes self.learning_rate"):
        check_optimiser(Single(then=own_rate))


def relative(self, w, state, g, step, rate):
    """Decoupled decay by the schedule's factor (Loshchilov & Hutter 2019)."""
    return w - rate * g(w) - rate / self.learning_rate * 1e-2 * w, state


@pytest.mark.parametrize("then", [relative, lambda self, w, state, g, step, rate: (w - 0.1 * g(w), state)])
def test_rules_that_take_both_rates_or_none_are_not_refused(then):
    check_optimiser(Single(then=then))


def test_a_class_is_not_an_optimiser():
    with pytest.raises(
        AssertionError, match=r"^the optimiser Changed: it gave a type; allowed: a frozen dataclass"
    ):
        check_optimiser(Changed)
