"""What a run is, by content: everything in its config that can change its result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from atml_exp.schema import SPECIAL, Schema, schema, schema_of
from atml_exp.settings import Settings

__all__ = ["identity", "run_id"]

_ORDERED = ("wrapper", "schedule")
"""Groups whose entries are applied one after the other: their order counts."""


def run_id(config: DictConfig) -> str:
    """16 hexadecimal digits of the SHA-256 of the config's identity."""
    text = json.dumps(identity(config), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity(config: DictConfig) -> dict[str, Any]:
    """The resolved config without what can't change a result, and without options at their signature's default.

    So a new option, with today's behaviour as its default, renames no old run; and paths, device, loggers and the
    pictures of probes may differ between equal runs. Numbers are compared as numbers: 1 is 1.0.
    """
    resolved: Mapping[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    settings = schema(Settings)
    groups = {k: v for k, v in resolved.items() if k not in settings.parameters and k != "logger"}
    own = {k: v for k, v in resolved.items() if k in settings.parameters}
    return _parameters(own, settings) | {k: _identity(v, k) for k, v in groups.items()}


def _identity(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return {"_target_": value["_target_"], **_parameters(value, schema_of(value["_target_"]))}
        entries = {k: _identity(v, k) for k, v in value.items()}
        return [[k, v] for k, v in entries.items()] if key in _ORDERED else entries
    return _canonical(value)


def _parameters(node: Mapping[str, Any], accepted: Schema) -> dict[str, Any]:
    found = {}
    for key, value in node.items():
        parameter = accepted.parameters.get(key)
        if key in SPECIAL or (parameter is not None and parameter.incidental):
            continue
        if key in _ORDERED and not value:
            continue
        if parameter is None or _identity(value) != _canonical(parameter.default):
            found[key] = _identity(value, key)
    return found


def _canonical(value: Any) -> Any:
    """Tuples as lists, whole floats as integers."""
    if isinstance(value, Mapping):
        return {k: _canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
