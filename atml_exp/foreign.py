"""Configs from elsewhere: what they may make Hydra itself run, before a job's config is looked at.

Hydra makes its launcher, its sweeper and callbacks of `_target_`s, Python's logging its handlers of `class` and
`()`, and `pkg://` imports a package. So these, too, name trusted packages only. Which packages are trusted besides
is said on the command line: a config can't vouch for itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from atml_exp.errors import ConfigError
from atml_exp.overrides import parse

__all__ = ["check_hydra", "check_search_path", "check_trust"]

HYDRAS = ("hydra", "hydra_plugins", "optuna.samplers")
LOGGING = ("logging", "colorlog", "hydra", "atml_exp")
"""Whose handlers, formatters and filters a logging config may name."""
BY_NAME = ("setup", "python", "custom_search_space")
"""Keys of launchers and sweepers that run code: commands of a cluster's job, its interpreter, a function."""


def check_trust(config: DictConfig, parsed: Sequence[tuple[str, Override]]) -> None:
    """ConfigError where a config's `trusted_packages` holds more than the command line says."""
    named = [str(n) for n in _trusted(parsed)]
    found = OmegaConf.to_container(config).get("trusted_packages")  # type: ignore[union-attr]
    if isinstance(found, list) and (more := [str(name) for name in found if str(name) not in named]):
        raise ConfigError(
            f"trusted_packages = [{','.join(map(str, found))}]: a config says so, and its word doesn't count; "
            f"if you trust this code: trusted_packages=[{','.join([*named, *more])}] on the command line"
        )


def check_search_path(parsed: Sequence[tuple[str, Override]]) -> None:
    """ConfigError for `hydra.searchpath=[pkg://PACKAGE]`, which imports it, of a package that isn't trusted."""
    for text, override in parsed:
        if override.key_or_group == "hydra.searchpath" and not override.is_delete():
            value = override.value()
            for place in value if isinstance(value, list) else [value]:
                _check_place(str(place), text, _trusted(parsed))


def check_hydra(node: Any, overrides: Sequence[str]) -> None:
    """ConfigError for what an untrusted package would run in the composed node `hydra`."""
    parsed = parse(overrides)
    trusted = [str(n) for n in _trusted(parsed)]
    said = {override.key_or_group for _, override in parsed}
    try:
        plain = OmegaConf.to_container(node, resolve=False)
    except OmegaConfBaseException:
        return  # which Hydra itself then says
    for place in _listed(plain, "searchpath"):
        _check_place(str(place), f"hydra.searchpath = {place}", trusted)
    for path, key, value in _leaves(plain, "hydra"):
        _check_leaf(path, key, value, trusted, said)


def _check_leaf(path: str, key: str, value: Any, trusted: Sequence[str], said: set[str]) -> None:
    from atml_exp.build import check_target

    if key == "_target_":
        try:
            check_target(str(value), [*HYDRAS, *trusted])
        except ConfigError as error:
            raise ConfigError(f"{path.removesuffix('_target_')}{error}") from None
    elif "logging" in path.split(".")[1] and key in ("class", "()") and "$" not in str(value):
        if not _is_below(str(value), [*LOGGING, *trusted]):
            raise _untrusted(f"{path} = {value}", str(value), LOGGING)
    elif (
        key in BY_NAME
        and value
        and path.startswith(("hydra.launcher.", "hydra.sweeper."))
        and not _said(path, said)
    ):
        raise ConfigError(f"{path} = {value}: runs code, and a config says so; allowed: on the command line")


def _said(path: str, said: set[str]) -> bool:
    return any(path == key or path.startswith(key + ".") for key in said)


def _trusted(parsed: Sequence[tuple[str, Override]]) -> list[Any]:
    values = [o.value() for _, o in parsed if o.key_or_group == "trusted_packages" and not o.is_delete()]
    return [name for value in values for name in (value if isinstance(value, list) else [value])]


def _check_place(place: str, text: str, trusted: Sequence[Any]) -> None:
    from atml_exp.search_path import installed_packages

    package = place.removeprefix("pkg://")
    allowed = ("atml_exp", "hydra", *installed_packages(), *map(str, trusted))
    if place.startswith("pkg://") and not _is_below(package.replace("/", "."), allowed):
        raise _untrusted(text, package, allowed)


def _untrusted(text: str, path: str, allowed: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{text}: not in a trusted package; allowed: {', '.join(allowed)}. "
        f"If you trust its code: trusted_packages=[{path.split('.')[0]}]"
    )


def _is_below(path: str, packages: Sequence[str]) -> bool:
    return any(path == p or path.startswith(p + ".") for p in packages)


def _listed(node: Any, key: str) -> list[Any]:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found if isinstance(found, list) else []


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """(path, key, value) of every entry that is a plain value, or a list, however deep."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node)
    for key, value in items:
        if isinstance(value, Mapping | list):
            if isinstance(key, str) and isinstance(value, list):
                yield f"{path}.{key}", key, value
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", str(key), value
