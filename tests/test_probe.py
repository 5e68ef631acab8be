"""When probes are due, and the guard around them."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from atml_exp.data import Dataset, Split
from atml_exp.probe import (
    DataChangedError,
    Plan,
    Probe,
    measure,
    of_model_and_points,
    reason,
    scalars_and_arrays,
    specimen,
)

SPLIT = Split(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
OTHER = Split(torch.ones(5, 2), torch.zeros(5, dtype=torch.long))
DATA = Dataset("d", SPLIT, OTHER, 2)


def ask(fn, **options):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return measure(Probe(fn, **options), model, model.state_dict(), DATA, lambda name: torch.tensor([len(name)]))


def test_a_plan_lists_what_is_due():
    plan = Plan({"a": Probe(dict, "3it"), "b": Probe(dict, "end"), "c": Probe(dict, "1ep", start="2ep")}, 8, 2)
    assert [plan(t) for t in (0, 1, 3, 4, 6, 8)] == [["a"], [], ["a"], ["c"], ["a", "c"], ["a", "b", "c"]]


def test_a_probe_is_given_its_split_or_what_it_reads():
    assert ask(lambda m, d: {"n": len(d)})["n"] == 3
    assert ask(lambda m, d: {"n": len(d)}, split="test")["n"] == 5
    assert ask(lambda m, d: {"n": len(d.train) + len(d.test)}, split="both")["n"] == 8
    assert ask(lambda points: {"n": points.item()}, reads="trajectory/weights")["n"] == 18


def test_a_quantity_of_recorded_points_is_given_the_model_too_where_it_says_so():
    @of_model_and_points
    def quantity(model, data, points, *, factor=1):
        return {"n": factor * (len(model) + len(data) + points.item())}

    assert ask(quantity, reads="trajectory/weights", split="test")["n"] == 2 + 5 + 18
    assert ask(partial(quantity, factor=2), reads="trajectory/weights")["n"] == 2 * (2 + 3 + 18)


def test_a_specimen_is_a_copy_in_eval_mode_with_the_state_given():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    state = {n: torch.full_like(t, 2) for n, t in model.state_dict().items()}
    found = specimen(model, state)
    assert not any(m.training for m in found.modules())
    assert model.training
    assert all((t == 2).all() for t in found.state_dict().values())
    assert not any((t == 2).all() for t in model.state_dict().values())


def test_states_that_a_probe_changes_are_put_back():
    def vandal(model, data):
        torch.manual_seed(1)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        return {}

    torch.manual_seed(0)
    ask(lambda m, d: {})
    before = torch.get_rng_state()
    torch.manual_seed(0)
    ask(vandal)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_probe_can_differentiate_where_the_caller_cannot():
    with torch.no_grad():
        assert ask(lambda m, d: {"g": torch.is_grad_enabled()})["g"]
        assert not torch.is_grad_enabled()


def test_a_probe_that_writes_into_the_data_is_found_out():
    with pytest.raises(DataChangedError, match="wrote into the data in place"):
        ask(lambda m, d: {"x": d.x.mul_(1)})


def test_numbers_go_to_the_metrics_and_tensors_to_the_arrays():
    values = {"a": 1, "b": True, "c": torch.tensor(2.5), "d": torch.ones(3)}
    scalars, arrays = scalars_and_arrays("p", values)
    assert scalars == {"p/a": 1.0, "p/b": 1.0, "p/c": 2.5}
    assert list(arrays) == ["p/d"]


@pytest.mark.parametrize(
    ("gave", "said"),
    [
        ([1.0], "it gave a list; allowed: a mapping"),
        (None, "it gave a NoneType; allowed: a mapping"),
        ({"a": [1.0, 2.0]}, "a is a list; allowed: a number or a tensor"),
        ({"a": "1.0"}, "a is a str; allowed"),
        ({"a": np.ones(2)}, "a is a ndarray; allowed"),
    ],
)
def test_what_is_no_value_is_named(gave, said):
    with pytest.raises(ValueError, match=said) as caught:
        scalars_and_arrays("p", gave)
    assert reason(caught.value) == f"ValueError: {caught.value}"  # and not where in our code


def test_numbers_of_numpy_are_values():
    assert scalars_and_arrays("p", {"a": np.float32(0.5), "b": np.array(2), "c": True})[0] == {
        "p/a": 0.5,
        "p/b": 2.0,
        "p/c": 1.0,
    }


@pytest.mark.parametrize("wrong", [lambda m, d: m(d.x[:, :1]), lambda m, d: dict([1, 2]), lambda m, d: int("x")])
def test_where_a_probe_failed_is_a_line_of_its_own(wrong):
    with pytest.raises((RuntimeError, TypeError, ValueError)) as caught:
        ask(wrong)
    assert f"({__file__}, line {wrong.__code__.co_firstlineno})" in reason(caught.value)
