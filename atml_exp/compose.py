"""Composes a config from overrides, and says in plain words what is wrong with one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from atml_exp.errors import ConfigError
from atml_exp.schema import nearest
from atml_exp.search_path import configs_directory, register_search_path

__all__ = ["compose", "compose_each", "sweep_jobs"]


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
    """The configs of several jobs, with one search for configs. extra_dirs: searched besides, as `--config-dir`."""
    with _hydra(config_dir, extra_dirs):
        return [_compose(list(overrides), config_name) for overrides in jobs]


@contextmanager
def _hydra(config_dir: Path | None, extra_dirs: Sequence[str]) -> Iterator[None]:
    """Hydra's global state set up for our configs, and put back after."""
    register_search_path()
    state = GlobalHydra.instance()
    before = state.hydra
    state.clear()
    try:
        with initialize_config_dir(str((config_dir or configs_directory()).resolve()), version_base="1.3"):
            search_path = GlobalHydra.instance().config_loader().get_search_path()
            for folder in extra_dirs:
                search_path.append("command-line", f"file://{Path(folder).resolve()}")
            yield
    finally:
        state.hydra = before


def _compose(overrides: list[str], config_name: str) -> DictConfig:
    for text, override in _parsed(overrides):
        _check_choice(text, override)
    try:
        return hydra_compose(config_name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, overrides, config_name)) from error


def _parsed(overrides: Sequence[str]) -> list[tuple[str, Override]]:
    parser = OverridesParser.create()
    found = []
    for text in overrides:
        try:
            found += [(text, o) for o in parser.parse_overrides([text])]
        except HydraException as error:
            hint = "" if "=" in text else f"; did you mean {text}=VALUE?"
            reason = str(error).splitlines()[0].removeprefix(f"Error parsing override '{text}'").strip()
            raise ConfigError(f"{text}: not an override; allowed: KEY=VALUE{hint} {reason}".rstrip()) from error
    return found


def _loader() -> ConfigLoader:
    return GlobalHydra.instance().config_loader()


def _groups(prefix: str = "") -> list[str]:
    """All config groups, nested ones as `dataset/wrapper`, without Hydra's own."""
    found = []
    for name in _loader().list_groups(prefix):
        path = f"{prefix}/{name}" if prefix else name
        if path != "hydra" and not name.startswith("_"):
            found += [path, *_groups(path)]
    return found


def _is_hydras(key: str) -> bool:
    return key.split(".")[0].split("/")[0] == "hydra"


def _check_choice(text: str, override: Override) -> None:
    """A chosen group must exist, and so must the choice."""
    key = override.key_or_group
    groups = _groups()
    if _is_hydras(key):
        return
    if key not in groups:
        if "/" in key:
            raise ConfigError(f"{text}: no config group {key}; allowed: {', '.join(groups)}{nearest(key, groups)}")
        return
    choices = _loader().get_group_options(key)
    value = None if override.is_delete() else override.value()
    for choice in value if isinstance(value, list) else [value]:
        if choice is not None and str(choice) not in choices and "/" not in str(choice):
            raise ConfigError(
                f"{key} = {choice}: no such choice; allowed: {', '.join(choices)}{nearest(str(choice), choices)}"
            )


def _explain(error: Exception, overrides: list[str], config_name: str) -> str:
    """Which override is to blame: the first whose key leads nowhere in the config that the chosen groups give."""
    groups = _groups()
    chosen = [t for t, o in _parsed(overrides) if o.key_or_group in groups or _is_hydras(o.key_or_group)]
    try:
        config: Any = hydra_compose(config_name, chosen)
    except (HydraException, OmegaConfBaseException) as first:
        return _plain(first)
    for text, override in _parsed(overrides):
        key = override.key_or_group
        if text not in chosen and not override.is_add() and not override.is_force_add():
            problem = _dead_end(config, key, text, groups)
            if problem:
                return problem
    return _plain(error)


def _dead_end(config: Any, key: str, text: str, groups: Sequence[str]) -> str:
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
    return " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type")))


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job that Hydra's basic sweeper makes of `seed=0,1 model=mlp,cnn`: the product.

    >>> sweep_jobs(["seed=0,1", "model=mlp"])
    [['seed=0', 'model=mlp'], ['seed=1', 'model=mlp']]
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    parsed = [o for _, o in _parsed(overrides)]
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in batch]


def swept(overrides: Sequence[str]) -> list[str]:
    """The overrides that name several values, `seed=0,1`, which only a sweep can use."""
    return [text for text, o in _parsed(overrides) if o.is_sweep_override()]
