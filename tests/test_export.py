"""A pruned model in plain PyTorch: the same function, without atml_exp."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.export import export, plain_state
from atml_exp.job import build_job
from atml_exp.recorder import Checkpoint
from atml_exp.runner import run
from atml_exp.runs import Run

OVERRIDES = (
    "device=cpu",
    "progress=false",
    "probe=[]",
    "dataset=digits",
    "model.width=16",
    "recipe=pruning_at_initialisation",
    "recipe.density=0.1",
    "recipe.steps=40it",
    "recipe.evaluate_every=20it",
    "checkpoint.keep=20it",
)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned")
    (result,) = run([compose([*OVERRIDES, f"output_dir={folder.as_posix()}"])])
    return Run(result.directory)


def outputs(pruned):
    """The run's own test set, and what its model says of it."""
    job = build_job(compose(list(OVERRIDES)))
    job.model.load_state_dict(Checkpoint(pruned.checkpoints[-1]).model)
    test: Split = job.data.test
    return test.x, job.model.eval()(test.x)


def plain_model():
    """What a user without atml_exp would write."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)
    )


PLACES = {"hidden.0.linear": "1", "hidden.1.linear": "3", "output": "5"}


def renamed(state):
    return {
        next(key.replace(name, place) for name, place in PLACES.items() if key.startswith(name)): t
        for key, t in state.items()
    }


def test_dense_zeros_load_into_a_plain_module_of_the_same_function(pruned, tmp_path):
    path = export(pruned.directory, tmp_path / "model.pt")
    model = plain_model()
    model.load_state_dict(renamed(torch.load(path, weights_only=True)), strict=True)
    x, expected = outputs(pruned)
    assert torch.equal(model(x), expected)
    kept = sum(int((p != 0).sum()) for p in model.parameters() if p.dim() == 2)
    assert kept == round(0.1 * (64 * 16 + 16 * 16 + 16 * 10)) == pruned.final["mask/weights"]


def test_the_naming_of_torchs_pruning_loads_and_masks_hold_on(pruned, tmp_path):
    path = export(pruned.directory, tmp_path / "model.safetensors", "prune")
    model = plain_model()
    for layer in (model[1], model[3], model[5]):
        prune.identity(layer, "weight")
    model.load_state_dict(renamed(load_file(path)), strict=True)
    x, expected = outputs(pruned)
    assert torch.equal(model(x), expected)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(x).square().mean().backward()
    optimiser.step()
    model(x)
    assert all((layer.weight[layer.weight_mask == 0] == 0).all() for layer in (model[1], model[3], model[5]))
    for layer in (model[1], model[3], model[5]):
        prune.remove(layer, "weight")
    assert sorted(model.state_dict()) == sorted(plain_model().state_dict())


def test_a_file_is_read_without_atml_exp(pruned, tmp_path):
    path = export(pruned.directory, tmp_path / "model.pt")
    load = f"len(torch.load({str(path)!r}, weights_only=True))"
    code = f"import sys, torch; print({load}, 'atml_exp' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.split() == ["6", "False"]


def test_an_earlier_checkpoint_is_found_by_its_step(pruned, tmp_path, export_command):
    assert export_command(pruned.directory, "early.pt", "--step", 20).code == 0
    early, late = (torch.load(p, weights_only=True) for p in ("early.pt", export(pruned.directory, "late.pt")))
    assert not torch.equal(early["output.weight"], late["output.weight"])
    assert torch.equal(early["output.weight"] == 0, late["output.weight"] == 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.onnx"], (".pt, .safetensors",)),
        (["there.pt"], ("exists already",)),
        (["no/model.pt"], ("there is no folder no",)),
        (["model.pt", "--step", 7], ("no checkpoint of step 7", "0, 20, 40")),
    ],
)
def test_what_cannot_be_written_is_said(pruned, tmp_path, export_command, arguments, words):
    (tmp_path / "there.pt").write_text("mine")
    message = export_command(pruned.directory, *arguments).message
    assert [word for word in words if word not in message] == []
    assert [p.name for p in tmp_path.iterdir()] == ["there.pt"]
    assert (tmp_path / "there.pt").read_text() == "mine"


def test_what_is_no_run_is_said(tmp_path, export_command):
    assert "not a run directory" in export_command(tmp_path, "model.pt").message


def test_another_naming_is_refused():
    with pytest.raises(ValueError, match="'dense' or 'prune'"):
        plain_state({}, "sparse")
