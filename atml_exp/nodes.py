"""What a config's nodes name. Needs neither torch nor Hydra."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["targets"]


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
