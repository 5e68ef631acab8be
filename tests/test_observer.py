"""What a probe can't do to the training that it looks at, and what becomes of a probe that can't be recorded."""

import re
import sys
from importlib import import_module

import numpy as np
import pytest

from atml_exp import train
from atml_exp.compose import compose
from atml_exp.data_guard import DataChangedError
from atml_exp.recorder import Checkpoint
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.validate import validate

TINY = [
    "dataset=gaussian_mixture",
    "model=linear",
    "optimiser=adam",
    "recipe.steps=12",
    "recipe.batch_size=16",
    "recipe.evaluate_every=4it",
    "probe=[]",
    "progress=false",
    "device=cpu",
    "trusted_packages=[vandals]",
]

VANDALS = """
import torch
from torch import nn

from atml_exp.probe import over_replicas

CALLS = []

def of_state(state):
    for tensor in state.values():
        tensor.zero_()
    return {"done": 1.0}

def each(model, state, data):
    for tensor in state.values():
        tensor.data.zero_()
    for parameter in model.parameters():
        parameter.data.zero_()
    return [{"done": 1.0} for _ in data]

@over_replicas(each)
def of_replicas(model, data):
    return {"done": 1.0}

def in_place(model, data):
    data.x.mul_(2)
    return {}

def through_numpy(model, data):
    data.x.numpy()[0] = 0
    return {}

def late_through_numpy(model, data):
    CALLS.append(1)
    if len(CALLS) == 2:
        data.x.numpy()[0] = 0
    return {}

def failing_through_numpy(model, data):
    data.x.numpy()[0] = 0
    raise ValueError("why")

SIZES = {}  # of the array at the k-th call, where that isn't 3

def growing(model, data):
    CALLS.append(1)
    return {"a": torch.ones(SIZES.get(len(CALLS), 3)), "n": 1.0}

def of_other_type(model, data):
    CALLS.append(1)
    return {"a": torch.ones(3, dtype=torch.float64 if len(CALLS) == 3 else torch.float32), "n": 1.0}

def without_numpy(model, data):
    return {"a": torch.ones(3, dtype=torch.bfloat16)}

class Writing(nn.Module):
    def __init__(self, shape, num_outputs, way):
        super().__init__()
        self.layer, self.way = nn.Linear(shape[0], num_outputs), way

    def forward(self, x):
        if self.way == "always" or (self.training and self.way == "training"):
            x.mul_(1.5)
        if self.training and self.way == "copy":
            x = x * 1.5
        if self.training and self.way == "numpy":
            x.numpy()[:] *= 1.5
        return self.layer(x)

def writing(shape, num_outputs, bias=True, initialisation="pytorch", initial_scale=1.0, way="training"):
    return Writing(shape, num_outputs, way)
"""


@pytest.fixture(autouse=True)
def _vandals(tmp_path, monkeypatch):
    (tmp_path / "vandals.py").write_text(VANDALS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("vandals", None)


def probe(name, *more):
    return [
        "+probe.vandal._target_=atml_exp.probe.Probe",
        f"+probe.vandal.fn={{_target_: vandals.{name}, _partial_: true}}",
        "+probe.vandal.every=2it",
        *more,
    ]


def config(tmp_path, *overrides):
    composed = compose([*TINY, f"output_dir={tmp_path.as_posix()}", *overrides])
    validate(composed)
    return composed


def runs(tmp_path, *overrides, seeds=(0,)):
    return [Run(r.directory) for r in run([config(tmp_path, *overrides, f"seed={s}") for s in seeds])]


def weights(run):
    return {name: tensor.tolist() for name, tensor in Checkpoint(run.checkpoints[-1]).model.items()}


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("vandal", [("of_state", "+probe.vandal.reads=optimiser"), ("of_replicas",)])
def test_a_probe_that_writes_into_what_it_is_given_changes_no_training(tmp_path, vandal, seeds):
    disturbed = runs(tmp_path / "disturbed", *probe(*vandal), seeds=seeds)
    alone = runs(tmp_path / "alone", seeds=seeds)
    assert [r.info["probe_failures"] for r in disturbed] == [{}] * len(seeds)
    assert [r.final["vandal/done"] for r in disturbed] == [1.0] * len(seeds)
    assert list(map(weights, disturbed)) == list(map(weights, alone))


BLAMED = {
    "in_place": r"^probe vandal wrote into the data in place, at step 0: it must work on a copy$",
    "through_numpy": r"^probe vandal wrote into the data through numpy or .data, at step 0: ",
    "failing_through_numpy": r"^probe vandal wrote into the data through numpy or .data, at step 0: ",
    "late_through_numpy": r"^one of .*probe vandal.* wrote into the data through .*, between steps 0 and 12: ",
}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("vandal", BLAMED)
def test_a_probe_that_changes_the_data_is_named_and_the_run_has_failed(tmp_path, vandal, seeds):
    with pytest.raises(DataChangedError, match=BLAMED[vandal]):
        runs(tmp_path, *probe(vandal), seeds=seeds)
    assert {Run(d).status for d in (tmp_path / "runs").iterdir()} == {"failed"}


def test_no_checkpoint_is_written_once_the_data_have_been_changed(tmp_path):
    with pytest.raises(DataChangedError, match="between steps 2 and 3"):
        runs(tmp_path, *probe("late_through_numpy"), "checkpoint.interval=0")
    (directory,) = (tmp_path / "runs").iterdir()
    assert Checkpoint(directory / "checkpoints" / "resume.safetensors").step == 2


@pytest.mark.parametrize(
    ("way", "blamed"),
    [
        ("always", r"^the model wrote into the data in place, at step 0: it must work on a copy$"),
        ("training", r"^the model wrote into the data in place, at step 0: it must work on a copy$"),
        ("numpy", r"^the model wrote into the data through numpy or .data, at step 12: it must work on a copy$"),
    ],
)
def test_a_model_that_writes_into_the_training_set_is_named(tmp_path, way, blamed):
    own = ["model._target_=vandals.writing", f"+model.way={way}"]
    with pytest.raises(DataChangedError, match=blamed):
        runs(tmp_path, *own, "optimiser=gd", "recipe.batch_size=null", "checkpoint.interval=1000")
    assert {Run(d).status for d in (tmp_path / "runs").iterdir()} == {"failed"}


def test_a_model_that_writes_into_its_mini_batch_leaves_the_training_set_as_it_is(tmp_path):
    own = ["model._target_=vandals.writing", "dtype=float64"]
    (writing,), (copying,) = (runs(tmp_path, *own, f"+model.way={way}") for way in ("training", "copy"))
    assert (writing.status, writing.final) == ("complete", copying.final)


def kept(run):
    steps, values = run.array("vandal/a")
    assert values.shape == (len(steps), 3)
    return steps.tolist()


CHANGED = r"^step {}: UnfitArrayError: vandal/a is of shape \(4,\), float32, and was of \(3,\), float32 before: "


def test_an_array_that_changes_its_shape_is_a_probe_that_fails_at_that_step(tmp_path):
    import_module("vandals").SIZES[3] = 4
    (found,) = runs(tmp_path, *probe("growing"))
    assert found.status == "complete"
    assert re.match(CHANGED.format(4), found.info["probe_failures"]["vandal"])
    assert kept(found) == found.series("vandal/n")[0].tolist() == [0, 2, 6, 8, 10, 12]


def test_an_array_that_changes_its_type_is_too(tmp_path):
    (found,) = runs(tmp_path, *probe("of_other_type"))
    assert found.status == "complete"
    assert "float64, and was of (3,), float32 before" in found.info["probe_failures"]["vandal"]
    assert kept(found) == [0, 2, 6, 8, 10, 12]


def test_an_array_that_numpy_does_not_have_is_too(tmp_path):
    (found,) = runs(tmp_path, *probe("without_numpy"))
    assert found.status == "complete"
    assert "vandal/a can't be recorded: " in found.info["probe_failures"]["vandal"]


def test_in_a_population_it_fails_for_the_replica_where_it_changed(tmp_path):
    import_module("vandals").SIZES[3] = 4
    first, second = runs(tmp_path, *probe("growing"), seeds=(0, 1))
    assert (first.status, second.status) == ("complete", "complete")
    assert re.match(CHANGED.format(2), first.info["probe_failures"]["vandal"])
    assert second.info["probe_failures"] == {}
    assert kept(first) == [0, 4, 6, 8, 10, 12]
    assert kept(second) == [0, 2, 4, 6, 8, 10, 12]


def test_a_resumed_run_knows_the_shape_from_before(tmp_path, monkeypatch):
    update = train.update

    def interrupted(population, *rest):
        if population.step == 6:
            raise KeyboardInterrupt
        return update(population, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(train, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs(tmp_path, *probe("growing"))
    import_module("vandals").SIZES.update(dict.fromkeys(range(20), 4))
    (found,) = runs(tmp_path, *probe("growing"))
    assert found.status == "complete"
    assert re.match(CHANGED.format(6), found.info["probe_failures"]["vandal"])
    assert kept(found) == [0, 2, 4]
    np.testing.assert_array_equal(found.array("vandal/a")[1], 1)
