"""Finds everything that is wrong with a config before anything is trained, and says it in plain words."""

import dataclasses
import errno
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from atml_exp.build import check_object
from atml_exp.data import Dataset
from atml_exp.errors import ConfigError
from atml_exp.nodes import flatten
from atml_exp.optimiser_updates import wrong_target
from atml_exp.probe import OPTIMISER
from atml_exp.schedule import num_steps
from atml_exp.schema import SPECIAL, Parameter, Schema, describe_type, locate, nearest, schema, schema_of
from atml_exp.settings import GROUPS, LISTS, SUBGROUPS, Settings

__all__ = ["check_fit", "validate"]

RESERVED_PROBES = ("train", "test", "optimiser")
"""Names under which the runner itself records."""


ENVIRONMENT = re.compile(r"\$\{[^:{}]*(oc\s*\.\s*env|\$\{[^{}]*\}[^:{}]*:)")
"""`${oc.env:X}`, and a resolver whose name is itself put together, as in `${oc.${e}:X}`."""
FOLDERS = ("output_dir", "dataset.root")


def validate(config: DictConfig, sound: set[str] | None = None) -> None:
    """Raises ConfigError that lists every problem: key, value, what is allowed, the nearest spelling.

    sound: parts of configs that were found right before, to which those of this one are added. The jobs of a sweep
    share nearly all of theirs.
    """
    if reads := list(_environment_problems(OmegaConf.to_container(config), "")):
        raise ConfigError(_listed(reads))
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_unresolved(config, error)) from error
    problems = list(_problems(resolved, set() if sound is None else sound))
    if problems:
        raise ConfigError(_listed(problems))


def _unresolved(config: DictConfig, error: OmegaConfBaseException) -> str:
    """Why a config's `${…}` stands for nothing."""
    place, first = getattr(error, "full_key", None), str(error).splitlines()[0]
    if not (lacking := re.fullmatch("Interpolation key '(.+)' not found", first)):
        return f"{place}: {first}" if place else first
    known = flatten(OmegaConf.to_container(config))  # type: ignore[arg-type]
    return (
        f"{place} stands for {lacking[1]}, which this config doesn't have; allowed: a value of its own, "
        f"or choices with that key{nearest(lacking[1], known)}"
    )


def _environment_problems(node: Any, path: str) -> Iterator[str]:
    """What a run's config says is written into its directory, with every `${…}` put in: so it reads no environment
    variable, which may be a token, but for folders.
    """
    if isinstance(node, Mapping | list):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _environment_problems(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, str) and ENVIRONMENT.search(node) and path not in FOLDERS:
        yield (
            f"{path} = {_shown(node)}: reads an environment variable, and would be written into the run's "
            f"directory; allowed: the value itself, or ${{oc.env:…}} in {' and '.join(FOLDERS)}, "
            "which is written too: no secret"
        )


def _listed(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n".join([f"{len(problems)} problems:", *problems])


def _problems(config: Mapping[str, Any], sound: set[str]) -> Iterator[str]:
    trusted = config.get("trusted_packages")
    names = tuple(trusted) if isinstance(trusted, list) else ()
    settings = schema(Settings)
    known = [*settings.parameters, *GROUPS, *LISTS]
    for key in (k for k in config if k not in known):
        yield _unknown(key, key, config[key], known, "the top level")
    yield from _missing("", config, settings.parameters.values())
    for key in known:
        if key in config or key in GROUPS:
            yield from _unless_sound(key, config.get(key), names, sound)


def _unless_sound(key: str, value: Any, trusted: tuple[str, ...], sound: set[str]) -> list[str]:
    """The problems of what stands under a key at the top, unless the same was found right before."""
    text = f"{key} {json.dumps(value, default=repr)} {trusted}"
    if text in sound:
        return []
    problems = list(_part_problems(key, value, trusted))
    if not problems:
        sound.add(text)
    return problems


def _part_problems(key: str, value: Any, trusted: tuple[str, ...]) -> Iterator[str]:
    if key in LISTS:
        yield from _entries_problems(key, value, trusted)
        if key == "probe":
            yield from _probe_problems(value or {}, trusted)
    elif key not in GROUPS:
        yield from _value_problems(key, value, schema(Settings).parameters[key], trusted)
        if key == "output_dir" and isinstance(value, str):
            yield from _folder_problems(key, value)
    elif isinstance(value, Mapping):
        foreign = list(_target_problems(value, trusted)) if key == "optimiser" else []
        yield from foreign or _node_problems(key, value, trusted, SUBGROUPS.get(key))
    else:
        yield f"{key} = {_shown(value)}: nothing is chosen; allowed: {key}=NAME"


def _folder_problems(key: str, folder: str) -> Iterator[str]:
    """A folder that can't be, which the system would say only once it is looked into. One that isn't there may."""
    try:
        (Path(folder) / "runs").stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP):
            shown = folder if len(folder) < 100 else f"{folder[:50]}…{folder[-50:]}"
            yield f"{key} = {shown}: {error.strerror}; allowed: a folder that can be written"


def _entries_problems(path: str, entries: Any, trusted: Sequence[str]) -> Iterator[str]:
    """A group of named nodes."""
    if not isinstance(entries, Mapping | None):
        yield f"{path} = {_shown(entries)}: allowed: named entries"
        return
    if entries and "_target_" in entries:
        yield (
            f"{path}._target_ = {_shown(entries['_target_'])}: what is chosen for {path} has a name; allowed: a "
            "YAML whose first line is `NAME:`, with all else indented below it, a probe as "
            "`_target_: atml_exp.probe.Probe` with its function under `fn:`"
        )
        return
    for name, node in (entries or {}).items():
        if not re.fullmatch(r"\w[\w-]*", str(name)):  # it becomes the name of files
            yield f"{path}: the name {str(name)!r}; allowed: letters, digits, _ and -, which doesn't come first"
        yield from _node_problems(f"{path}.{name}", node, trusted)


def _node_problems(path: str, node: Any, trusted: Sequence[str], subgroup: str | None = None) -> Iterator[str]:
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        yield f"{path} = {_shown(node)}: needs a _target_, the dotted path of a function or class"
        return
    try:
        check_object(node["_target_"], trusted)
        accepted = schema_of(node["_target_"])
    except ConfigError as error:
        yield f"{path}.{error}"
        return
    is_partial = bool(node.get("_partial_", False))
    configurable = {n: p for n, p in accepted.parameters.items() if not (is_partial and p.runtime and p.required)}
    for key, value in node.items():
        if key in SPECIAL:
            continue
        if key == subgroup:
            yield from _entries_problems(f"{path}.{key}", value, trusted)
        elif key in configurable:
            yield from _value_problems(f"{path}.{key}", value, configurable[key], trusted)
        elif not accepted.open:
            yield _unknown(f"{path}.{key}", key, value, configurable, f"{node['_target_'].rpartition('.')[2]}")
    yield from _missing(f"{path}.", node, (p for p in configurable.values() if p.required))


def _target_problems(optimiser: Mapping[str, Any], trusted: Sequence[str]) -> Iterator[str]:
    """A class of another kind, whose own parameters would be asked for in vain."""
    target = optimiser.get("_target_")
    try:
        if not isinstance(target, str):
            return
        check_object(target, trusted)
        problem = wrong_target(locate(target))
    except ConfigError:  # said of every node
        return
    if problem:
        yield f"optimiser = {target}: {problem}"


def _missing(prefix: str, node: Mapping[str, Any], parameters: Iterable[Parameter]) -> Iterator[str]:
    for p in parameters:
        if p.name not in node:
            partial_hint = ", or _partial_: true where training gives it" if p.runtime else ""
            yield f"{prefix}{p.name}: missing; allowed: {describe_type(p.annotation)}{partial_hint}"


def _unknown(path: str, key: str, value: Any, known: Any, where: str) -> str:
    allowed = ", ".join(k for k in known) or "none"
    return f"{path} = {_shown(value)}: {where} has no key {key!r}; allowed: {allowed}{nearest(key, known)}"


def _value_problems(path: str, value: Any, parameter: Parameter, trusted: Sequence[str]) -> Iterator[str]:
    if isinstance(value, Mapping) and "_target_" in value:
        yield from _node_problems(path, value, trusted)
        return
    inner = _dataclass_in(parameter.annotation)
    if inner is not None:
        yield from _dataclass_problems(path, value, schema(inner), trusted)
        return
    if _accepts(parameter.annotation, value):
        return
    words = describe_type(parameter.annotation)
    words += ", and finite" if isinstance(value, float) and not math.isfinite(value) else ""
    near = nearest(value, _choices(parameter.annotation)) if isinstance(value, str) else ""
    yield f"{path} = {_shown(value)}: allowed: {words}{near}"


def _dataclass_problems(path: str, value: Any, accepted: Schema, trusted: Sequence[str]) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} = {_shown(value)}: allowed: the keys {', '.join(accepted.parameters)}"
        return
    for key, item in value.items():
        if key in accepted.parameters:
            yield from _value_problems(f"{path}.{key}", item, accepted.parameters[key], trusted)
        else:
            yield _unknown(f"{path}.{key}", key, item, accepted.parameters, path)
    yield from _missing(f"{path}.", value, accepted.parameters.values())


def _dataclass_in(annotation: Any) -> type | None:
    for candidate in (annotation, getattr(annotation, "__origin__", None)):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            return candidate
    return None


def _accepts(annotation: Any, value: Any) -> bool:
    """Strictly, as JSON: 3 is a number, true is not, and a list may stand for a tuple."""
    if describe_type(annotation) == "a node with _target_":
        return False
    try:
        _adapter(annotation).validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))


def _choices(annotation: Any) -> list[str]:
    """The values of a Literal inside a type."""
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return [str(v) for v in get_args(annotation)]
    return [c for a in get_args(annotation) if not isinstance(a, str) for c in _choices(a)]


def _shown(value: Any) -> str:
    text = "null" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text.strip('"') if len(text) < 80 else text[:77] + "…"


def _probe_problems(probes: Any, trusted: Sequence[str]) -> Iterator[str]:
    if not isinstance(probes, Mapping):
        return
    for name, node in probes.items():
        if name in RESERVED_PROBES:
            yield f"probe.{name}: the name is taken; allowed: any but {', '.join(RESERVED_PROBES)}"
        if not isinstance(node, Mapping):
            continue
        yield from _picture_problems(f"probe.{name}.picture", node.get("picture"), trusted)
        reads = node.get("reads")
        if isinstance(reads, str) and reads != OPTIMISER and reads.split("/")[0] not in probes:
            yield (
                f"probe.{name}.reads = {reads}: no probe {reads.split('/')[0]!r} records it; "
                f"allowed: arrays of {', '.join(probes)}"
            )


def _picture_problems(path: str, picture: Any, trusted: Sequence[str]) -> Iterator[str]:
    if not isinstance(picture, str):
        return
    try:
        check_object(picture, trusted)
        schema_of(picture)
    except ConfigError as error:
        yield f"{path} = {str(error).removeprefix('_target_ = ')}"


def check_fit(
    data: Dataset,
    loss_fn: Any,
    probes: Mapping[str, Any],
    batch_size: int | None,
    recipe: Mapping[str, Any] | None = None,
) -> None:
    """Raises ConfigError that lists each loss or probe not defined for the dataset, a batch too large, and a part
    of the recipe's training longer than the whole.
    """
    problems = []
    task = " and ".join(sorted(data.tasks - {"binary"} or data.tasks))
    kind = f"dataset = {data.name} is a {task} task"
    if data.num_classes is not None:
        kind += f" with {data.num_classes} classes"
    if misfit := _misfit(loss_fn, data):
        problems.append(f"loss = {_name(loss_fn)}: is for {misfit}, but {kind}; allowed: {_suited_losses(data)}")
    for name, probe in probes.items():
        if misfit := _misfit(probe.fn, data):
            rest = ",".join(n for n, p in probes.items() if not _misfit(p.fn, data))
            problems.append(f"probe = {name}: is for {misfit}, but {kind}; allowed: probe=[{rest}]")
        elif getattr(_unwrapped(probe.fn), "compares_groups", False):
            problems += _groups_missing(name, data)
    if batch_size is not None and batch_size > len(data.train):
        problems.append(
            f"recipe.batch_size = {batch_size}: the training set has {len(data.train)} examples; "
            f"allowed: 1 to {len(data.train)}, or null for all"
        )
    elif recipe is not None:
        problems += _too_long(recipe, 1 if batch_size is None else len(data.train) // batch_size)
        problems += _of_batches(recipe, data, loss_fn)
    if problems:
        raise ConfigError(_listed(problems))


def _groups_missing(probe: str, data: Dataset) -> list[str]:
    number = 0 if data.train.group is None else len(data.train.group.unique())
    if number > 1:
        return []
    there = "no groups" if number == 0 else "one group only"
    return [
        f"probe = {probe}: compares groups, and dataset = {data.name} has {there}; allowed: a dataset with two or "
        "more, or +dataset/wrapper=group_column"
    ]


def _too_long(recipe: Mapping[str, Any], steps_per_epoch: int) -> list[str]:
    mark = getattr(locate(recipe["_target_"]), "within_steps", None)
    if mark is None or not mark[1](recipe):
        return []
    key, steps = mark[0], recipe["steps"]
    if num_steps(recipe[key], steps_per_epoch) <= num_steps(steps, steps_per_epoch):
        return []
    return [f"recipe.{key} = {recipe[key]}: allowed: at most recipe.steps = {steps}, of which it is a part"]


def _of_batches(recipe: Mapping[str, Any], data: Dataset, loss_fn: Any) -> Iterator[str]:
    """What `atml_exp.batches` refuses of the options of our recipes, before there is a mini-batch."""
    if not str(recipe["_target_"]).startswith("atml_exp.recipes."):
        return
    if recipe.get("replacement") and recipe.get("batch_size") is None:
        yield "recipe.replacement = true: needs mini-batches; allowed: false, or a number as recipe.batch_size"
    noise, steps = recipe.get("label_noise") or 0, recipe.get("pretrain") or 0
    changed = f"recipe.label_noise = {noise}" if noise else f"recipe.pretrain = {steps}" if _many(steps) else ""
    if noise > 1 and data.num_classes is not None:
        yield f"recipe.label_noise = {noise}: is a probability where labels are classes; allowed: 0 to 1"
    elif noise and data.num_classes is not None and int(data.train.y.max()) == 0:
        yield f"recipe.label_noise = {noise}: all training labels are of one class; allowed: 0"
    if changed and (data.train.weight is not None or getattr(_unwrapped(loss_fn), "of_group", False)):
        yield f"{changed}: labels can't be changed where examples have weights, or the loss groups; allowed: 0"


def _many(steps: int | str) -> bool:
    return num_steps(steps, 1000) > 0


def _misfit(fn: Any, data: Dataset) -> str:
    """The tasks that a function is for, where the dataset's isn't among them; else empty."""
    suited = getattr(_unwrapped(fn), "suited_tasks", None)
    return "" if suited is None or suited & data.tasks else " or ".join(sorted(suited))


def _unwrapped(fn: Any) -> Any:
    return _unwrapped(fn.func) if isinstance(fn, partial) else fn


def _name(fn: Any) -> str:
    return str(getattr(_unwrapped(fn), "__name__", type(fn).__name__))


def _suited_losses(data: Dataset) -> str:
    """The choices of the group `loss` that are defined for the dataset."""
    from atml_exp.search_path import configs_folders

    suited = []
    for path in sorted(path for folder in configs_folders() for path in (folder / "loss").glob("*.yaml")):
        target = OmegaConf.to_container(OmegaConf.load(path))["_target_"]  # type: ignore[call-overload,index]
        if not _misfit(locate(target), data):
            suited.append(f"loss={path.stem}")
    return ", ".join(suited)
