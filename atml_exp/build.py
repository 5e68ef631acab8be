"""The only user of hydra.utils.instantiate: a config's `_target_` runs code, so it names trusted packages only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from atml_exp.errors import ConfigError
from atml_exp.search_path import installed_packages

__all__ = ["TRUSTED", "check_target", "instantiate"]

TRUSTED = ("atml_exp", "torch.nn", "torch.optim", "torchvision.models", "torchvision.transforms")
"""What a `_target_` may name without the user's word; the rest of torch can load and run files."""


def check_target(path: str, trusted: Sequence[str] = ()) -> None:
    """ConfigError where a dotted path lies outside the trusted packages."""
    allowed = (*TRUSTED, *installed_packages(), *trusted)
    if not any(path == p or path.startswith(p + ".") for p in allowed):
        package = path.split(".")[0]
        raise ConfigError(
            f"_target_ = {path}: not in a trusted package; allowed: {', '.join(allowed)}. "
            f"If you trust its code: trusted_packages=[{package}]"
        )


def instantiate(node: DictConfig, trusted: Sequence[str] = ()) -> Any:
    """The object that a node describes, with plain containers inside.

    ConfigError for an untrusted target, and where the target itself raises one.
    """
    for target in targets(OmegaConf.to_container(node, resolve=True)):
        check_target(target, trusted)
    try:
        return hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise


def targets(node: Any) -> Iterator[str]:
    """All `_target_`s in a node, however deep."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from targets(item)
