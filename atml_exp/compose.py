"""Composes a config from overrides, and says in plain words what is wrong with one."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from atml_exp.errors import ConfigError
from atml_exp.foreign import check_hydra, check_search_path, check_trust
from atml_exp.overrides import parse
from atml_exp.schema import nearest
from atml_exp.search_path import configs_directory, register_search_path
from atml_exp.settings import GROUPS

__all__ = [
    "choices_of",
    "compose",
    "compose_each",
    "compose_in_application",
    "dead_end",
    "read_choice",
    "sweep_jobs",
    "swept",
]

_REFUSALS = (HydraException, OmegaConfBaseException, TypeError, ValueError, OSError, YAMLError)
"""What composing raises for overrides and files of a user's that it can't be done with."""

Choices = Mapping[str, Sequence[str]]
"""The choices of each config group; nested groups as `dataset/wrapper`."""


def compose(
    overrides: Sequence[str] = (), config_dir: Path | None = None, config_name: str = "config"
) -> DictConfig:
    """The composed config, not yet resolved. Works inside a running Hydra application too.

    Raises ConfigError with the key, the value, what is allowed and the nearest spelling.

    >>> compose(["model.width=8"]).model.width
    8
    """
    (composed,) = compose_each([overrides], config_dir, config_name)
    return composed


def compose_each(
    jobs: Sequence[Sequence[str]],
    config_dir: Path | None = None,
    config_name: str = "config",
    extra_dirs: Sequence[str] = (),
) -> list[DictConfig]:
    """The configs of several jobs, with one search for configs. extra_dirs: searched besides, as `--config-dir`.

    Jobs that choose the same from the groups are composed once; what else they say is then written into copies.
    """
    with _hydra(config_dir, extra_dirs):
        return compose_in_application(jobs, config_name)


def choices_of(group: str, extra_dirs: Sequence[str] = ()) -> list[str]:
    """The choices of a config group, ours and those of installed packages and further folders."""
    with _hydra(None, extra_dirs):
        return list(_repository("config", ()).get_group_options(group, ObjectType.CONFIG))


def read_choice(group: str, name: str, extra_dirs: Sequence[str] = ()) -> DictConfig:
    """What a choice's YAML says, by itself."""
    with _hydra(None, extra_dirs):
        return _repository("config", ()).load_config(f"{group}/{name}").config


def compose_in_application(jobs: Sequence[Sequence[str]], config_name: str = "config") -> list[DictConfig]:
    """The configs of several jobs inside a running Hydra application, with its search for configs."""
    find = cache(lambda *search: _choices(config_name, search))
    chosen = cache(lambda *overrides: _compose(list(overrides), config_name, find))
    return [_with_values(list(overrides), config_name, find, chosen) for overrides in jobs]


def _with_values(
    overrides: list[str], config_name: str, find: Callable[..., Choices], chosen: Callable[..., DictConfig]
) -> DictConfig:
    """The config that Hydra composes, made from that of the group choices alone: 30 times faster for a sweep."""
    parsed = parse(overrides)
    check_search_path(parsed)
    choices = find(*_searched(parsed))
    choosing = [
        t
        for t, o in parsed
        if o.key_or_group in (*choices, "trusted_packages") or "/" in o.key_or_group or _is_hydras(o.key_or_group)
    ]
    values = [o for t, o in parsed if t not in choosing]
    config = copy.deepcopy(chosen(*choosing))
    try:
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
    except (HydraException, OmegaConfBaseException):
        config = _compose(overrides, config_name, find)  # which says what is wrong
    check_trust(config, parsed)
    return config


@contextmanager
def _hydra(config_dir: Path | None, extra_dirs: Sequence[str]) -> Iterator[None]:
    """Hydra's global state set up for our configs, and put back after."""
    register_search_path()
    version.setbase("1.3")
    search_path = create_config_search_path(str((config_dir or configs_directory()).resolve()))
    for folder in extra_dirs:
        if not Path(folder).is_dir():
            raise ConfigError(f"--config-dir {folder}: there is no such folder")
        path = f"file://{Path(folder).resolve()}"
        search_path.prepend("command-line", path, SearchPathQuery(provider="schema", path=None))  # as Hydra's own
    state = GlobalHydra.instance()
    running = state.hydra
    state.clear()
    try:
        Hydra.create_main_hydra2("atml-exp", search_path)
        yield
    finally:
        state.hydra = running


def _compose(overrides: list[str], config_name: str, find: Callable[..., Choices]) -> DictConfig:
    parsed = parse(overrides)
    choices = find(*_searched(parsed))
    for text, override in parsed:
        _check_choice(text, override, choices)
    _check_additions(parsed, choices)
    try:
        config = hydra_compose(config_name, overrides, return_hydra_config=True)
    except _REFUSALS as error:
        raise ConfigError(_explain(error, overrides, config_name, list(choices))) from error
    with open_dict(config):
        check_hydra(config.pop("hydra"), overrides)
    return config


def _searched(parsed: Sequence[tuple[str, Override]]) -> list[str]:
    """The overrides that change where configs are searched for."""
    return [text for text, o in parsed if o.key_or_group == "hydra.searchpath"]


def _choices(config_name: str, search: Sequence[str]) -> dict[str, list[str]]:
    """All config groups with their choices, without Hydra's own. search: overrides of the search path."""
    repository = _repository(config_name, search)

    def below(parent: str) -> Iterator[tuple[str, list[str]]]:
        for name in repository.get_group_options(parent, ObjectType.GROUP):
            group = f"{parent}/{name}" if parent else name
            if group != "hydra" and not name.startswith("_"):
                yield group, repository.get_group_options(group, ObjectType.CONFIG)
                yield from below(group)

    return dict(below(""))


def _repository(config_name: str, search: Sequence[str]) -> Any:
    loader: Any = GlobalHydra.instance().config_loader()
    return loader._parse_overrides_and_create_caching_repo(config_name, list(search))[1]


def _is_hydras(key: str) -> bool:
    return key.split(".")[0].split("/")[0] == "hydra"


def _check_choice(text: str, override: Override, choices: Choices) -> None:
    """A chosen group must exist, and so must the choice."""
    key = override.key_or_group
    if _is_hydras(key):
        return
    if key not in choices:
        if "/" in key:
            raise ConfigError(
                f"{text}: no config group {key}; allowed: {', '.join(choices)}{nearest(key, choices)}"
            )
        return
    if override.is_delete() and key in GROUPS:
        raise ConfigError(f"{text}: there must be one; allowed: {key}=NAME, of {', '.join(choices[key])}")
    if not override.is_delete():
        _check_value(key, override.value(), choices)


def _check_value(key: str, value: Any, choices: Choices) -> None:
    allowed = ", ".join(choices[key])
    if value is None:
        rest = "" if key in GROUPS else ", or [] for none"
        raise ConfigError(f"{key} = null: not a choice; allowed: {allowed}{rest}")
    if isinstance(value, list) and key in GROUPS:
        raise ConfigError(f"{key} = [{','.join(map(str, value))}]: one choice only; allowed: {allowed}")
    names = value if isinstance(value, list) else [value]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{key} = [{','.join(map(str, names))}]: {twice[0]} is named twice; allowed: each once")
    for choice in names:
        group, _, name = f"{key}/{choice}".rpartition("/")
        if name not in choices.get(group, ()):
            raise ConfigError(
                f"{key} = {choice}: no such choice; allowed: {allowed}{nearest(str(choice), choices[key])}"
            )


def _check_additions(parsed: Sequence[tuple[str, Override]], choices: Choices) -> None:
    """`+probe=a` beside another choice of the same group, of which Hydra would lose one."""
    for text, override in parsed:
        key = override.key_or_group
        named = [o.value() for _, o in parsed if o.key_or_group == key and not o.is_delete()]
        if override.is_add() and key in choices and len(named) > 1:
            names = [str(n) for value in named for n in (value if isinstance(value, list) else [value])]
            joined = ",".join(dict.fromkeys(names))
            raise ConfigError(f"{text}: {key} is chosen twice; allowed: {key}=[{joined}]")


def _explain(error: Exception, overrides: list[str], config_name: str, groups: Sequence[str]) -> str:
    """Which override is to blame: the first whose key leads nowhere in the config that the chosen groups give."""
    parsed = parse(overrides)
    named = [(text, o.key_or_group) for text, o in parsed if not o.is_delete()]
    chosen = [text for text, key in named if key in groups or _is_hydras(key)]
    try:
        config: Any = hydra_compose(config_name, chosen)
    except _REFUSALS as first:
        return _plain(first)
    for text, override in parsed:
        key = override.key_or_group
        if override.is_delete() and key in groups:
            return f"{text}: a list of choices; allowed: {key}=[NAME,…], or {key}=[] for none"
        if text not in chosen and not override.is_add() and not override.is_force_add():
            problem = dead_end(config, key, text, groups)
            if problem:
                return problem
    return _plain(error)


def dead_end(config: Any, key: str, text: str, groups: Sequence[str] = ()) -> str:
    """What is wrong with a dotted key, or nothing."""
    node, path = config, ""
    for name in key.split("."):
        if not OmegaConf.is_dict(node) or name not in node:
            known = [str(k) for k in node] if OmegaConf.is_dict(node) else []
            if not path:
                known = list(dict.fromkeys([*known, *groups]))
            where = path or "the top level"
            shown = [k for k in known if not k.startswith("_")]
            return (
                f"{text}: {where} has no key {name!r}; allowed: {', '.join(shown) or 'none'}{nearest(name, shown)}"
            )
        node, path = OmegaConf.select(node, name), f"{path}.{name}" if path else name
    return ""


def _plain(error: BaseException) -> str:
    """Hydra's own words on one line, with those of their cause."""
    texts = [str(e) for e in (error, error.__cause__) if e is not None]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    words = " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type")))
    return words.partition(" Config search path:")[0]


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job that Hydra's basic sweeper makes of `seed=0,1 model=mlp,cnn`: the product.

    >>> sweep_jobs(["seed=0,1", "model=mlp"])
    [['seed=0', 'model=mlp'], ['seed=1', 'model=mlp']]
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    parsed = [o for _, o in parse(overrides)]
    if globs := [text for text, o in parse(overrides) if isinstance(o.value(), Glob)]:
        raise ConfigError(f"{globs[0]}: glob can't be used here; allowed: the values by name, a,b,c")
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in batch]


def swept(overrides: Sequence[str]) -> list[str]:
    """The overrides that name several values, `seed=0,1`, which only a sweep can use."""
    return [text for text, o in parse(overrides) if o.is_sweep_override()]
