"""What holds of every file below `configs/`, ours and those of other packages, and of what it names."""

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from atml_exp.build import instantiate
from atml_exp.checks import check_dataset, check_figure, check_probe
from atml_exp.compose import compose
from atml_exp.errors import BuildError
from atml_exp.figure_make import make, table_of_figure
from atml_exp.figure_spec import figure_spec
from atml_exp.figures.claim import Claim
from atml_exp.job import Job, build_dataset, build_job
from atml_exp.loss_checks import check_loss
from atml_exp.model_checks import check_model
from atml_exp.nodes import targets
from atml_exp.nonparametric import is_of_training_set
from atml_exp.optimiser_checks import check_optimiser
from atml_exp.probe import OPTIMISER
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.schema import SPECIAL, schema_of
from atml_exp.search_path import GROUP, configs_folders
from atml_exp.validate import validate

__all__ = [
    "check_dataset_of",
    "check_files",
    "check_found",
    "check_header",
    "check_loss_of",
    "check_made",
    "check_model_of",
    "check_optimiser_of",
    "check_options",
    "check_probes_of",
    "check_runs",
]


def check_found(group: str, path: Path) -> None:
    """A name is this file's: `atml_exp` and packages that come first in the alphabet have no other one of it."""
    found = [folder / group / path.name for folder in configs_folders() if (folder / group / path.name).exists()]
    assert found, f"{path} isn't found: is its package installed, with an entry point of the group {GROUP}?"
    assert found[0].samefile(path), f"{group}={path.stem} is {found[0]}, which comes first: take another name"


def check_options(path: Path, group: str) -> None:
    """A YAML states exactly the options of its target's signature, at their defaults, each of an allowed value."""
    from pydantic import TypeAdapter

    node = _node(path, group)
    target, is_partial = str(node.pop("_target_")), node.get("_partial_", False)
    stated = {key: value for key, value in node.items() if key not in SPECIAL}
    accepted = schema_of(target).parameters
    options = {n: p for n, p in accepted.items() if not (is_partial and p.runtime and p.required)}
    missing, foreign = sorted(options.keys() - stated.keys()), sorted(stated.keys() - options.keys())
    assert not missing, f"{path.name} doesn't state {', '.join(missing)}: state all options, at their defaults"
    assert not foreign, f"{path.name} states {', '.join(foreign)}, which {target} doesn't have"
    for key, option in options.items():
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        same = option.required or default == stated[key]
        assert same, f"{path.name}: {key} is {stated[key]}, and {default} in the signature: they must agree"
        TypeAdapter(option.annotation).validate_python(stated[key])


def check_header(path: Path, group: str) -> None:
    """The comments at the head of an experiment's or figure's YAML: paper, command, expected number, duration."""
    match = re.match(r"(#.*\n)+", path.read_text(encoding="utf-8"))
    assert match, f"{path.name} begins with no comment: say what it is, paper, command, expected and duration"
    said = dict(re.findall(r"^# (\w+): +(.+)$", match[0], re.MULTILINE))
    faults = []
    command = "atml-exp experiment=" if group == "experiment" else "atml-figures make "
    for field, pattern, example in (
        ("paper", r"https://", "Authors 2026, https://…"),
        ("command", re.escape(command + path.stem) + "$", command + path.stem),
        ("expected", r"\d", "what comes out, with a number"),
        ("duration", r"\d+ (s|min|h) on ", "20 s on two CPU cores"),
    ):
        if not re.search(pattern, said.get(field, "")):
            faults.append(f"its header says {field}: {said.get(field)!r}; it must be like: {example}")
    assert not faults, f"{path.name}: {', and '.join(faults)}"


def check_files(path: Path, group: str, tests: Path) -> None:
    """Code, YAML and test have one name; of several YAMLs for one function (variants) one has the function's."""
    module = _module(path, group)
    name = module.rpartition(".")[2]
    named = name == path.stem or (path.parent / f"{name}.yaml").exists()
    assert named, f"{path.name} names code in {module}: code and YAML must have one name, {path.stem}"
    there = next(tests.rglob(f"test_{name}.py"), None)
    assert there, f"{path.name} names code in {module}, and there is no test_{name}.py in {tests.name}"


def check_runs(overrides: Sequence[str]) -> Run:
    """A config composes, is valid, runs to its end, and each probe measures. Writes outputs/ where it is called."""
    config = compose(overrides)
    validate(config)
    (result,) = run([config])
    done = Run(result.directory)
    assert done.status == "complete", f"the run ended as {done.status}: {done.info.get('error', '')}"
    failures = done.info["probe_failures"]
    assert failures == {}, f"probes failed: {failures}"
    names = set(done.metrics.name)
    silent = set(config.probe) - {name.partition("/")[0] for name in names} - set(_recorded(done))
    assert not silent, f"probes that recorded nothing: {', '.join(sorted(silent))}"
    assert {"train/loss", "test/loss"} <= names
    return done


def check_dataset_of(overrides: Sequence[str]) -> None:
    """The config's dataset, with its wrappers, keeps `check_dataset`, and is the same when it is made again."""
    config = compose(overrides)
    first, again = (build_dataset(config, torch.device("cpu"), torch.float64, {}) for _ in range(2))
    check_dataset(first)
    for split in ("train", "test"):
        one, other = getattr(first, split), getattr(again, split)
        same = torch.equal(one.x, other.x) and torch.equal(one.y, other.y)
        assert same, f"{split} is another one when it is made again: draw from a generator seeded by an option"


def check_probes_of(overrides: Sequence[str]) -> None:
    """Each probe of the config keeps `check_probe` on the untrained model; readers of recordings are left out."""
    job = build_job(compose(overrides))
    checked = [p for p in job.probes.values() if p.reads in {None, OPTIMISER}]
    assert checked, "no probe of the config can be asked before a training"
    state = _some_state(sum(p.numel() for p in job.model.parameters()))
    for probe in checked:
        data = job.data if probe.split == "both" else getattr(job.data, probe.split)
        more = (state,) if probe.reads == OPTIMISER else ()
        alone = bool(more) and not getattr(_function(probe.fn), "of_model_and_points", False)

        def measured(model: Any, data: Any, fn: Any = probe.fn, more: Any = more, alone: bool = alone) -> Any:
            return fn(*more) if alone else fn(model, data, *more)

        assert check_probe(measured, job.model, data), "the probe measured nothing"


def check_model_of(overrides: Sequence[str]) -> None:
    """The config's model keeps `check_model` on inputs like the dataset's. One of its training set, or without any
    inputs, is not asked: it has no weights that start anywhere, or is a function of them alone.
    """
    config = compose(overrides)
    job = build_job(config)
    make = instantiate(config.model, tuple(config.trusted_packages))
    if not is_of_training_set(make) and 0 not in job.data.input_shape:
        check_model(make, job.data.input_shape, _num_outputs(job))


def check_loss_of(overrides: Sequence[str]) -> None:
    """The config's loss keeps `check_loss` on the first eight labels of its dataset."""
    job = build_job(compose([*overrides, "dtype=float64"]))
    check_loss(job.loss_fn, _num_outputs(job), job.data.train.y[:8])


def check_optimiser_of(overrides: Sequence[str]) -> None:
    """The config's optimiser keeps `check_optimiser`."""
    check_optimiser(build_job(compose(overrides)).optimiser)


def check_made(name: str) -> list[Claim]:
    """A figure is made at the smoke scale, and its module keeps `check_figure` on the table of these runs.

    Returns its claims, which need not hold at that scale. Writes outputs/ where it is called.
    """
    spec = figure_spec(name)
    try:
        outcome = make(name, spec, scale="smoke", overrides=["progress=false", "device=cpu"])
    except BuildError as error:  # of the module's own code, as check_figure says it
        raise AssertionError(str(error)) from error.__cause__
    errors = [result.error for result in outcome.results if result.status == "failed"]
    assert outcome.made, f"{name} could not be drawn, since runs failed: {'; '.join(errors)}"
    return check_figure(import_module(spec.module), table_of_figure(outcome.jobs, outcome.results))


def _node(path: Path, group: str) -> dict[str, Any]:
    """The part of a YAML that names the code: of a probe its function, not what schedules it."""
    said: Any = OmegaConf.to_container(OmegaConf.load(path))
    node = said if "_target_" in said else said.get(path.stem, said.get(group))
    return dict(node["fn"] if group == "probe" else node)


def _module(path: Path, group: str) -> str:
    """The module of the code that a YAML names."""
    if group == "figure":
        said: Any = OmegaConf.load(path)
        return str(said.module)
    (target, *_) = targets(_node(path, group))
    return target.rpartition(".")[0]


def _recorded(done: Run) -> Iterator[str]:
    """Probes that recorded arrays."""
    for path in (done.directory / "arrays").glob("*"):
        yield path.name.partition(".")[0]


def _some_state(num_parameters: int) -> dict[str, torch.Tensor]:
    """An optimiser's, for probes that read it."""
    ones = torch.ones(num_parameters)
    return {"square": ones, "mean": ones, "step": torch.tensor(5), "mistakes": torch.tensor(3.0)}


def _function(fn: Any) -> Any:
    return getattr(fn, "func", fn)


def _num_outputs(job: Job) -> int:
    return getattr(_function(job.loss_fn), "num_outputs", None) or job.data.num_targets
