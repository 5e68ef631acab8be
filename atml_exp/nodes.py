"""What a config's nodes name, and a config as one level. Needs neither torch nor Hydra."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["flatten", "targets"]

_PLAIN = frozenset((str, int, float, bool, list, type(None)))
"""What is no mapping, which to ask of each value of 100,000 runs would take seconds."""


def targets(node: Any) -> Iterator[str]:
    """All `_target_`s in a node, however deep; one before those inside it.

    >>> list(targets({"_target_": "a", "of": [{"_target_": "b"}]}))
    ['a', 'b']
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from targets(item)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names; lists as text. A node has the name of its target.

    >>> flatten({"seed": 0, "model": {"_target_": "atml_exp.models.mlp.mlp", "width": 64}, "sizes": [1, 2]})
    {'seed': 0, 'model': 'mlp', 'model._target_': 'atml_exp.models.mlp.mlp', 'model.width': 64, 'sizes': '[1, 2]'}
    """
    flat: dict[str, Any] = {}
    _flatten(config, prefix, flat)
    return flat


def _flatten(config: Mapping[str, Any], prefix: str, flat: dict[str, Any]) -> None:
    for key, value in config.items():
        if type(value) not in _PLAIN and isinstance(value, Mapping):
            if "_target_" in value:
                flat[prefix + key] = str(value["_target_"]).rpartition(".")[2]
            _flatten(value, f"{prefix}{key}.", flat)
        elif key != "_partial_":
            flat[prefix + key] = str(value) if isinstance(value, list) else value
