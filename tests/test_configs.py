"""Every file below configs/ composes, is valid and runs at the smallest scale; experiments say what to expect."""

from pathlib import Path

import pytest

from atml_exp.contract import check_found, check_header, check_options, check_runs
from atml_exp.runs import find_runs
from atml_exp.testing import CASES, POINTS, SMALL, TINY_MLP, tried_out

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))

IMAGE_FILES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
TABLE_FILES = ("adult", "compas", "german_credit")
FEW_IMAGES = ("dataset=cifar10", "dataset.root=.")
NEEDED = {
    "inclusion": ("dataset/wrapper=[random_inclusion]", "dataset.wrapper.random_inclusion.num_train=90"),
    "label_fit": ("dataset/wrapper=[label_noise]",),
    "adam_sharpness": ("optimiser=adam",),
    "influence": ("probe.influence.fn.damping=10.0",),
    "influence_retraining": ("probe.influence_retraining.fn.steps=3", "probe.influence_retraining.fn.examples=3"),
    "reparametrisation": ("model.depth=1",),
    "implicit_bias": ("dataset.num_classes=2", "dataset.separation=1000"),  # features that are separable
    "adversarial_initialisation": ("recipe.pretrain=1",),
}
"""What else a probe or a recipe needs."""

NO_DATA = ("dataset=no_data", "loss=value", "model=quadratic", "optimiser=gd", "device=cpu", "progress=false")
PERCEPTRON = ("loss=perceptron", "optimiser=perceptron", "recipe=perceptron", *SMALL)
NEIGHBOURS = ("model=k_nearest_neighbours", "recipe=memorise", "device=cpu", "progress=false", "probe=[]")
RIDGE = ("dataset=diabetes", "model=linear", "loss=mse", "recipe=least_squares", "device=cpu", "progress=false")
GROUPS = ("dataset=binormal_groups", "model=linear", *SMALL)
FEW_COPIES = tuple(f"probe.exponentiated_gradient.fn.{k}=2" for k in ("steps", "max_iterations"))
WRAPPED = (*GROUPS, "probe=[]")
ALONE = {
    "loss/value": (*NO_DATA, "recipe.steps=2", "probe=[]"),
    "dataset/no_data": (*NO_DATA, "recipe.steps=2", "probe=[]"),
    "probe/suboptimality": (*NO_DATA, "recipe.steps=2", "probe=[suboptimality]"),
    "probe/decision_boundary": ("dataset=two_moons", "model.width=4", *SMALL, "probe=[decision_boundary]"),
    "dataset/wrapper/group_column": ("dataset=breast_cancer", *TINY_MLP, *SMALL, "+dataset/wrapper=group_column"),
    "dataset/wrapper/label_bias": (*WRAPPED, "+dataset/wrapper=label_bias"),
    "dataset/wrapper/reweighing": (*WRAPPED, "+dataset/wrapper=reweighing"),
    "loss/group_penalty": (*WRAPPED, "loss=group_penalty"),
    "probe/exponentiated_gradient": (*GROUPS, *FEW_COPIES, "probe=[exponentiated_gradient]"),
    "probe/fairness": (*GROUPS, "probe=[fairness]"),
    "probe/group_roc": (*GROUPS, "probe=[group_roc]"),
    "probe/group_roc_train": (*GROUPS, "probe=[group_roc_train]"),
    "probe/threshold_optimiser": (*GROUPS, "probe=[threshold_optimiser]"),
    "probe/hard_margin": ("dataset=two_moons", "model=linear", *SMALL, "probe=[hard_margin]"),
    "probe/mistakes": ("dataset=two_moons", "model=linear", *PERCEPTRON, "probe=[mistakes]"),
    "probe/optimality_gap": ("dataset=diabetes", "model=linear", "loss=mse", *SMALL, "probe=[optimality_gap]"),
    "probe/influence_check": ("dataset=diabetes", "model=linear", "loss=mse", *SMALL, "probe=[influence_check]"),
    "probe/leave_one_out": (*RIDGE, "probe=[leave_one_out]"),
    "recipe/perceptron": ("dataset=two_moons", "model=linear", *PERCEPTRON, "probe=[]"),
    "model/polynomial": ("dataset=two_moons", "model=polynomial", *SMALL, "probe=[]"),
    "model/k_nearest_neighbours": ("dataset=two_moons", *NEIGHBOURS),
    "recipe/memorise": ("dataset=two_moons", *NEIGHBOURS),
    "recipe/least_squares": ("recipe=least_squares", "device=cpu", "progress=false", "model=linear", "probe=[]"),
}
"""Instead, for those that have no steps or no data."""


def _own(group: str, name: str) -> tuple[str, ...]:
    """What a file needs besides what `tried_out` gives those of its group."""
    if group == "dataset":
        return ("dataset.root=.",) if name in (*IMAGE_FILES, *TABLE_FILES) else ()
    if group in ("probe", "recipe"):
        return NEEDED.get(name, ())
    return {"model": FEW_IMAGES, "experiment": ("model.width=4",)}.get(group, ())


HYDRAS = [path for path in FILES if path.startswith("hydra/")]
FIGURES = [path for path in FILES if path.startswith("figure/")]
"""Made by tests/test_figure_make.py."""


def test_the_files_are_found():
    assert len(FILES) > 40
    assert {path.rpartition("/")[0] for path in FILES if path not in HYDRAS + FIGURES} == set(CASES)


SEARCH = {"hydra/sweeper/optuna": ("objective=test/loss", "hydra.sweeper.n_trials=2")}
"""What else a plugin needs to be told."""


@pytest.mark.parametrize("path", [path for path in HYDRAS if path != "hydra/launcher/ray"])  # launchers/test_ray.py
def test_every_plugin_of_hydra_runs_a_sweep(path, command, tmp_path):
    group, _, name = path.rpartition("/")
    assert command("--multirun", f"{group}={name}", *SMALL, *POINTS, "seed=0,1", *SEARCH.get(path, ())).code == 0
    assert {run.status for run in find_runs(tmp_path / "outputs")} == {"complete"}


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No login and no network for loggers that would use them."""
    import wandb

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    wandb.teardown()


@pytest.mark.parametrize("path", [path for path in FILES if path not in HYDRAS + FIGURES])
def test_every_file_composes_is_valid_and_runs(path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    group, _, name = path.rpartition("/")
    if path == "logger/wandb":
        request.getfixturevalue("offline")
    if group == "model" or name in IMAGE_FILES:
        class_name = IMAGE_FILES.get(name, "CIFAR10")
        request.getfixturevalue("write_mnist" if "MNIST" in class_name else "write_cifar")(class_name)
    if name in TABLE_FILES:
        request.getfixturevalue("write_table")(name)
    check_runs(ALONE.get(path) or tried_out(group, name, _own(group, name)))


EXPERIMENTS = [path for path in FILES if path.startswith("experiment/")]


@pytest.mark.parametrize("path", EXPERIMENTS + FIGURES)
def test_a_header_gives_paper_command_expected_number_and_duration(path):
    check_header(CONFIGS / f"{path}.yaml", path.partition("/")[0])


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith(("optimiser/", "recipe/"))])
def test_the_options_of_a_signature_are_stated(path):
    """Of datasets and models their own tests say so."""
    check_options(CONFIGS / f"{path}.yaml", path.rpartition("/")[0])


@pytest.mark.parametrize("path", [path for path in FILES if "/" in path and path not in HYDRAS])
def test_a_name_is_its_files(path):
    check_found(path.rpartition("/")[0], CONFIGS / f"{path}.yaml")
