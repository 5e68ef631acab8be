"""A model whose outputs don't fit, and a loss that broadcasts, are refused before any training, in one message."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.job import build_job
from atml_exp.losses.mse import mse
from atml_exp.losses.value import value
from atml_exp.model_outputs import check_loss_value, check_outputs

TWO = Split(torch.ones(3, 4), torch.tensor([0.0, 1.0, 2.0]))


class Then(nn.Module):
    """A linear model with something done to its outputs."""

    def __init__(self, change: Callable[[torch.Tensor], Any], num_outputs: int = 2) -> None:
        super().__init__()
        self.layer, self.change, self.calls = nn.Linear(4, num_outputs), change, 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> Any:
        self.calls += 1
        self.seen += 1
        torch.rand(1)
        return self.change(self.layer(x))


ODD: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "one axis": (lambda o: o[:, 0], "gives outputs of shape (2,)"),
    "another number": (lambda o: o[:, :1], "gives outputs of shape (2, 1)"),
    "an axis more": (lambda o: o[:, None], "gives outputs of shape (2, 1, 2)"),
    "a mean": (lambda o: o.mean(0, keepdim=True), "gives outputs of shape (1, 2)"),
    "a pair": (lambda o: (o, o), "gives a tuple"),
    "classes": (lambda o: o.long(), "gives outputs of type torch.int64"),
}


@pytest.mark.parametrize("name", ODD)
def test_outputs_that_do_not_fit_are_named(name: str) -> None:
    change, found = ODD[name]
    with pytest.raises(ConfigError) as error:
        check_outputs(Then(change), TWO, 2, "their.net")
    assert str(error.value) == (
        f"model = their.net: {found} for 2 examples; allowed: a tensor (2, 2) of floating numbers, with the "
        "num_outputs that the model's function is given"
    )


def test_the_model_and_random_state_are_as_before_and_outputs_may_be_infinite() -> None:
    model = Then(lambda o: o / 0).train()
    before = torch.get_rng_state()
    assert not check_outputs(model, TWO, 2, "their.net").isfinite().any()
    assert torch.equal(torch.get_rng_state(), before)
    assert (model.training, model.calls, model.seen.item()) == (True, 0, 0.0)
    assert check_outputs(model, Split(TWO.x[:1], TWO.y[:1]), 2, "their.net").shape == (1, 2)


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(), nn.functional.mse_loss, nn.L1Loss(), lambda o, y: ((o - y) ** 2).sum()]
)
def test_a_loss_that_broadcasts_is_refused_and_takes_targets_in_a_column(loss: Any) -> None:
    outputs = torch.zeros(2, 1)
    with pytest.raises(
        ConfigError, match=r"^loss = theirs: compares every output \(N, 1\) with every target \(N,\)"
    ):
        check_loss_value(loss, outputs, TWO.y[:2].clone(), "theirs")
    check_loss_value(loss, outputs, TWO.y[:2, None], "theirs")


@pytest.mark.parametrize(
    "loss",
    [mse, value, lambda o, y: (o[:, 0] - y).square().mean(), lambda o, y: (o[:, 0] - y).square().sum().sqrt()],
)
def test_losses_that_compare_each_with_its_own_or_ignore_targets_pass(loss: Any) -> None:
    for y in (TWO.y[:2], TWO.y[:1]):
        check_loss_value(loss, torch.zeros(len(y), 1), y, "theirs")


def test_a_loss_of_each_example_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss = theirs: gives a tensor \(2, 1\); allowed: one number"):
        check_loss_value(nn.MSELoss(reduction="none"), torch.zeros(2, 1), torch.zeros(2, 1), "theirs")


THEIRS = """
from torch import nn
class Flat(nn.Linear):
    def forward(self, x):
        return super().forward(x)[:, 0]
def flat(input_shape, num_outputs, **_):
    return Flat(input_shape[0], num_outputs)
def narrow(input_shape, num_outputs, **_):
    return nn.Linear(input_shape[0] + 1, num_outputs)
def lazy(input_shape, num_outputs, **_):
    return nn.LazyLinear(num_outputs)
def frozen(input_shape, num_outputs, **_):
    return nn.Linear(input_shape[0], num_outputs).requires_grad_(False)
def nothing(input_shape, num_outputs, **_):
    return None
"""
SAID = {
    "flat": "model = theirs_outputs.flat: gives outputs of shape (2,) for 2 examples",
    "narrow": "model = theirs_outputs.narrow: on inputs (2, 2) it",
    "lazy": "model = theirs_outputs.lazy: has layers whose sizes the first inputs decide",
    "frozen": "recipe.steps = 2: the model has nothing to train; allowed: 0, or recipe=memorise",
    "nothing": "model = theirs_outputs.nothing: gave a NoneType; allowed: a torch.nn.Module",
}


@pytest.mark.parametrize("name", SAID)
def test_a_command_refuses_a_model_before_anything_is_written(
    name: str, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_outputs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs_outputs", raising=False)
    ended = command(
        *("dataset=two_moons", "trusted_packages=[theirs_outputs]", f"model._target_=theirs_outputs.{name}"),
        *("recipe.steps=2", "progress=false", "probe=[]"),
    )
    assert ended.code == (1 if name == "narrow" else 2)
    assert SAID[name] in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "outputs").exists()


def test_jobs_that_say_the_same_are_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr("atml_exp.job.check_outputs", lambda *args: tried.append(args) or torch.zeros(2, 3))
    built: dict[str, Any] = {}
    for overrides in (["seed=0"], ["seed=1"], ["optimiser.learning_rate=0.3"], ["model.width=4"]):
        build_job(compose(["device=cpu", "dataset=gaussian_mixture", "probe=[]", *overrides]), built)
    assert len(tried) == 2
