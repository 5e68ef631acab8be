"""Every file below configs/ composes, is valid and runs at the smallest scale; experiments say what to expect."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from atml_exp.compose import compose
from atml_exp.runner import run
from atml_exp.runs import Run, find_runs
from atml_exp.validate import validate

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))

SMALL = ("device=cpu", "progress=false", "recipe.steps=2", "recipe.evaluate_every=end")
TINY_MLP = ("model=mlp", "model.width=4", "probe=[]")
POINTS = ("dataset=gaussian_mixture", "dataset.num_train=100", "dataset.num_test=20", *TINY_MLP)
IMAGE_FILES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
TABLE_FILES = ("adult", "compas", "german_credit")
FEW_IMAGES = ("dataset=cifar10", "dataset.root=.", "recipe.batch_size=8", "probe=[]")
LONG_ENOUGH = "recipe.steps=60"
"""For a fit of the fractal dimension, which needs some points."""

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

CASES: dict[str, Callable[[str], tuple[str, ...]]] = {
    "": lambda _: ("model.width=4", LONG_ENOUGH),
    "dataset": lambda name: (*TINY_MLP, "loss=mse", f"dataset={name}", "recipe.batch_size=8", *_root(name)),
    "dataset/wrapper": lambda name: (*TINY_MLP, f"+dataset/wrapper={name}"),
    "model": lambda name: (f"model={name}", *FEW_IMAGES),
    "loss": lambda name: (*TINY_MLP, f"loss={name}", "dataset=two_moons"),
    "optimiser": lambda name: (*POINTS, f"optimiser={name}"),
    "optimiser/schedule": lambda name: (*POINTS, f"+optimiser/schedule={name}"),
    "probe": lambda name: (*POINTS, f"probe=[{name}]", LONG_ENOUGH, *NEEDED.get(name, ())),
    "recipe": lambda name: (*POINTS, f"recipe={name}", *NEEDED.get(name, ())),
    "logger": lambda name: (*POINTS, f"logger=[{name}]"),
    "experiment": lambda name: (f"experiment={name}", "model.width=4"),
}
"""How the files of each folder are tried out."""

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


def _root(name: str) -> tuple[str, ...]:
    return ("dataset.root=.",) if name in (*IMAGE_FILES, *TABLE_FILES) else ()


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
    config = compose(ALONE.get(path, (*SMALL, *CASES[group](name))))
    validate(config)
    (result,) = run([config])
    done = Run(result.directory)
    assert done.status == "complete"
    assert done.info["probe_failures"] == {}
    assert set(config.probe) <= {metric.partition("/")[0] for metric in done.metrics.name} | recorded(done)
    assert {"train/loss", "test/loss"} <= set(done.metrics.name)


def recorded(done: Run) -> set[str]:
    """Probes that recorded arrays."""
    return {path.name.partition(".")[0] for path in (done.directory / "arrays").glob("*")}


EXPERIMENTS = [path for path in FILES if path.startswith("experiment/")]


@pytest.mark.parametrize("path", EXPERIMENTS + FIGURES)
def test_a_header_gives_paper_command_expected_number_and_duration(path):
    text = (CONFIGS / f"{path}.yaml").read_text(encoding="utf-8")
    header = re.match(r"(#.*\n)+", text)[0]
    said = dict(re.findall(r"^# (\w+): +(.+)$", header, re.MULTILINE))
    assert "https://" in said["paper"]
    group, _, name = path.partition("/")
    assert said["command"] == (
        f"atml-exp experiment={name}" if group == "experiment" else f"atml-figures make {name}"
    )
    assert re.search(r"\d", said["expected"])
    assert re.search(r"\d+ (s|min|h) on ", said["duration"])
