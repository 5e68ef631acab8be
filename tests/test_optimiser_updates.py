"""An optimiser that doesn't keep to the protocol is refused before any training, in one sentence; no other is."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from atml_exp.compose import choices_of, compose
from atml_exp.errors import BuildError, ConfigError
from atml_exp.job import build_job
from atml_exp.layout import Layout
from atml_exp.optimiser_updates import check_updates, wrong_target
from atml_exp.optimisers.proximal_gd import ProximalGD
from atml_exp.optimisers.svrg import SVRG
from atml_exp.optimisers.torch_optim import TorchOptim

LAYOUT = Layout(("weight", "bias"), (torch.Size([3, 5]), torch.Size([3])))
LIKE = torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True)
class Rule:
    """Signed descent with a state, in which one thing or another is changed."""

    first: Callable[[Any], Any] = lambda w: {"m": torch.zeros_like(w)}
    then: Callable[[Any, Any], Any] = lambda w, state: (w, state)
    learning_rate: Any = 0.1

    def init(self, w):
        return self.first(w)

    def update(self, w, state, gradient, *, step, learning_rate):
        return self.then(w - learning_rate * gradient(w).sign(), state)


@dataclass(frozen=True)
class Alone(Rule):
    stackable = False


ROW = "allowed: a row for each, like w or with its leading axes, or stackable = False in the class"
TENSORS = "allowed: a mapping of names to tensors, each shaped like w or with its leading axes"
ODD: dict[str, tuple[Rule, str]] = {
    "init None": (Rule(lambda w: None), f"init gives the state None; {TENSORS}"),
    "init tensor": (Rule(torch.zeros_like), f"init gives the state a tensor (18,); {TENSORS}"),
    "nested": (Rule(lambda w: {"m": {"a": w}}), f"init gives a state whose 'm' is a dict; {TENSORS}"),
    "number": (Rule(lambda w: {"t": 0}), f"init gives a state whose 't' is an int; {TENSORS}"),
    "sparse": (Rule(lambda w: {"t": w.to_sparse()}), "init gives a state whose 't' is a sparse tensor (18,)"),
    "names": (Rule(lambda w: {0: w}), "init gives a state with the name 0; allowed: text"),
    "shared": (
        Rule(lambda w: {"t": torch.zeros(())}),
        f"init gives a state whose 't' is of shape () beside w (3, 18) of 3 replicas; {ROW}",
    ),
    "w alone": (Rule(then=lambda w, s: w), "update gives a tensor (18,); allowed: the pair (w, state)"),
    "three": (Rule(then=lambda w, s: (w, s, s)), "update gives a tuple of 3; allowed: the pair (w, state)"),
    "exchanged": (Rule(then=lambda w, s: (s, w)), "update gives a dict for w; allowed: the pair (w, state)"),
    "shape": (
        Rule(then=lambda w, s: (w[..., None], s)),
        "update gives w of shape (18, 1) for one of (18,); allowed: the same",
    ),
    "type": (
        Rule(then=lambda w, s: (w.float(), s)),
        "update gives w of dtype torch.float32 for one of torch.float64; allowed: the same",
    ),
    "state later": (Rule(then=lambda w, s: (w, None)), f"update gives the state None; {TENSORS}"),
    "rate": (Rule(learning_rate=None), "has learning_rate = None; allowed: a number"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_does_not_fit_is_named(name: str) -> None:
    rule, said = ODD[name]
    with pytest.raises(ConfigError) as error:
        check_updates(rule, LAYOUT, LIKE, "their.Rule")
    assert str(error.value).startswith("optimiser = their.Rule: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [Rule(lambda w: {"t": torch.zeros(())}), Rule(then=lambda w, s: (w, {"n": w[0]}))])
def test_what_replicas_would_share_is_allowed_of_single_runs(kind: Rule) -> None:
    with pytest.raises(ConfigError, match="of 3 replicas"):
        check_updates(kind, LAYOUT, LIKE, "their.Rule")
    check_updates(Alone(kind.first, kind.then), LAYOUT, LIKE, "their.Rule")


@pytest.mark.parametrize(
    "changed", [lambda w, s, g, t, rate: w.add(g(w), alpha=-rate), lambda *a: w_of(float(a[-1]))]
)
def test_a_rule_that_takes_no_column_is_told_of_columns_and_of_single_runs(changed: Any) -> None:
    class Numbers(Rule):
        def update(self, w, state, gradient, *, step, learning_rate):
            return changed(w, state, gradient, step, learning_rate) + 0 * w, state

    class Single(Numbers):
        stackable = False

    with pytest.raises((ConfigError, BuildError)) as error:
        check_updates(Numbers(), LAYOUT, LIKE, "their.Rule")
    assert "the update of w (3, 18), learning_rate (3, 1), of 3 replicas" in str(error.value)
    assert "with a row of w and of learning_rate for each replica, or stackable = False in the class" in str(
        error.value
    )
    assert error.value.__cause__ is not None
    check_updates(Single(), LAYOUT, LIKE, "their.Rule")


def w_of(rate: float) -> torch.Tensor:
    return torch.tensor(rate, dtype=torch.float64)


def test_what_a_rule_raises_is_said_with_what_is_allowed() -> None:
    class Positional(Rule):
        def update(self, w, state, gradient):
            return w, state

    class Broken(Rule):
        def init(self, w):
            raise OSError("no table")

    with pytest.raises(
        ConfigError, match=r"unexpected keyword argument 'step'.*allowed: init\(self, w\), and update"
    ):
        check_updates(Positional(), LAYOUT, LIKE, "their.Rule")
    with pytest.raises(BuildError, match=r"the first state of w \(18,\): failed: OSError: no table"):
        check_updates(Broken(), LAYOUT, LIKE, "their.Rule")


def test_what_is_no_optimiser_is_named() -> None:
    @dataclass(frozen=True)
    class Lr:
        lr: float = 0.1
        init = update = Rule.init

    for made, said in (
        (partial(Rule), r"waits for more options; allowed: a frozen dataclass .* without _partial_: true"),
        (Rule, "gave a type"),
        (None, "gave a NoneType"),
        (Lr(), r"no field learning_rate, which schedules multiply; its fields: lr"),
        (dataclass(frozen=True)(type("Bare", (), {}))(), "no method init and no method update"),
    ):
        with pytest.raises(ConfigError, match=f"^optimiser = their.Rule: .*{said}"):
            check_updates(made, LAYOUT, LIKE, "their.Rule")


def test_classes_that_can_make_none_point_to_what_can() -> None:
    class Mine(torch.optim.Adam):
        pass

    assert "optimiser=torch_optim optimiser.name=Adam," in str(wrong_target(torch.optim.Adam))
    assert "optimiser=torch_optim optimiser.name=NAME of its own classes" in str(wrong_target(Mine))
    assert "@dataclass(frozen=True) above it" in str(wrong_target(dict))
    assert wrong_target(Rule) is None
    assert wrong_target(check_updates) is None


OTHERS = [
    SVRG(every=1),
    ProximalGD(accelerated=True),
    TorchOptim("LBFGS", 1.0),
    TorchOptim("SGD", 0.1, {"momentum": 0.9}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ours_pass_and_the_random_state_is_left_alone(dtype: torch.dtype) -> None:
    config = ["device=cpu", "dataset=gaussian_mixture", "probe=[]", "model.width=4"]
    ours = [build_job(compose([*config, f"optimiser={name}"])).optimiser for name in choices_of("optimiser")]
    before = torch.get_rng_state()
    for rule in [*ours, *OTHERS]:
        check_updates(rule, LAYOUT, torch.empty(0, dtype=dtype), type(rule).__name__)
        check_updates(rule, Layout(("w",), (torch.Size([1]),)), torch.empty(0, dtype=dtype), type(rule).__name__)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_draws_of_a_rule_are_put_back() -> None:
    before = torch.get_rng_state()
    check_updates(Rule(then=lambda w, s: (w + torch.rand(()), s)), LAYOUT, LIKE, "their.Rule")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_rule_made_for_one_model_is_tried_on_all_of_it() -> None:
    """Its table of factors is as long as the model's weights; names and axes of parameters are the model's."""
    table = torch.ones(LAYOUT.size, dtype=torch.float64)
    check_updates(Rule(then=lambda w, s: (w * table, s)), LAYOUT, LIKE, "their.Rule")
    with pytest.raises(BuildError, match=r"the update of w \(18,\)"):
        check_updates(Rule(then=lambda w, s: (w * table[1:], s)), LAYOUT, LIKE, "their.Rule")

    class Named(Rule):
        def update(self, w, state, gradient, *, step, learning_rate):
            named = gradient.layout.named(w)
            assert [p.dim() - w.dim() + 1 for p in named.values()] == [2, 1]
            assert tuple(named) == LAYOUT.names
            return w, state

    check_updates(Named(), LAYOUT, LIKE, "their.Rule")


def test_the_size_of_the_model_is_not_what_it_costs() -> None:
    sizes = []
    large = Layout(("a", "b"), (torch.Size([10**5, 10**5]), torch.Size([10**9])))
    check_updates(Rule(then=lambda w, s: (sizes.append(w.shape[-1]) or w, s)), large, LIKE, "their.Rule")
    assert set(sizes) == {6}


def test_nothing_to_train_asks_for_no_update() -> None:
    check_updates(Rule(lambda w: None), Layout((), ()), LIKE, "their.Rule")


THEIRS = """
from dataclasses import dataclass
import torch
@dataclass(frozen=True)
class Lion:
    learning_rate: float = 0.1
    def init(self, w):
        return {}
    def update(self, w, state, gradient, *, step, learning_rate):
        return w - learning_rate * gradient(w).sign(), state
class Nothing(Lion):
    def init(self, w):
        return None
class Plain:
    learning_rate = 0.1
    init, update = Lion.init, Lion.update
@dataclass(frozen=True)
class Lr:
    lr: float = 0.1
    init, update = Lion.init, Lion.update
class Torch(torch.optim.Optimizer):
    pass
"""
SAID: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Nothing": (("optimiser.learning_rate=0.1",), "init gives the state None; allowed: a mapping"),
    "Plain": (("optimiser.learning_rate=0.1",), "Plain isn't a dataclass; allowed: a frozen dataclass"),
    "Lr": (("~optimiser.learning_rate",), "has no field learning_rate, which schedules multiply; its fields: lr"),
    "Torch": (("optimiser.learning_rate=0.1",), "is one of torch's optimisers; allowed: optimiser=torch_optim"),
    "Lion": (("+optimiser._partial_=true",), "isn't made, but waits for more options"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_command_refuses_an_optimiser_before_anything_is_written(
    name: str, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_updates.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs_updates", raising=False)
    more, said = SAID[name]
    ended = command(
        *("dataset=two_moons", "trusted_packages=[theirs_updates]", f"optimiser._target_=theirs_updates.{name}"),
        *("~optimiser.weight_decay", "optimiser=sgd", "recipe.steps=2", "progress=false", "probe=[]", *more),
    )
    assert f"optimiser = theirs_updates.{name}: {said}" in ended.message
    assert len(ended.message.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_jobs_with_one_optimiser_and_one_shape_are_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr("atml_exp.job.check_updates", lambda *args: tried.append(args))
    built: dict[str, Any] = {}
    for overrides in (["seed=0"], ["seed=1"], ["optimiser.learning_rate=0.3"], ["model.width=4"]):
        build_job(compose(["device=cpu", "dataset=gaussian_mixture", "probe=[]", *overrides]), built)
    assert len(tried) == 3
