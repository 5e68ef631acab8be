"""The only user of hydra.utils.instantiate: a config's `_target_` runs code, so it names trusted packages only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from atml_exp.errors import SAID, BuildError, ConfigError, OutOfMemoryError
from atml_exp.nodes import targets
from atml_exp.schema import locate
from atml_exp.search_path import installed_packages

__all__ = ["TRUSTED", "building", "check_object", "check_target", "instantiate"]

TRUSTED = ("atml_exp", "torch.nn", "torch.optim", "torchvision.models", "torchvision.transforms")
"""What a `_target_` may name without the user's word; the rest of torch can load and run files."""
OURS = (
    *(f"atml_exp.{n}" for n in ("attribution", "datasets", "figures", "loggers", "losses", "models", "optimisers")),
    *(f"atml_exp.{n}" for n in ("pictures", "probe", "probes", "recipes")),
)
"""Of our package, the parts of an experiment: the rest imports modules and runs commands by name."""
OF_VALUES = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What the values of a config can be blamed for."""
BUILTIN = ("torch._C._nn", "torch._C._special")
"""Homes of what torch.nn.functional offers of torch's compiled functions."""


def check_target(path: str, trusted: Sequence[str] = ()) -> None:
    """ConfigError where a dotted path lies outside the trusted packages. Imports nothing."""
    allowed = (*TRUSTED, *installed_packages(), *trusted)
    if not _is_below(path, allowed):
        package = path.split(".")[0]
        raise ConfigError(
            f"_target_ = {path}: not in a trusted package; allowed: {', '.join(allowed)}. "
            f"If you trust its code: trusted_packages=[{package}]"
        )
    if path.startswith("atml_exp.") and not _is_below(path, OURS):
        raise ConfigError(f"_target_ = {path}: no part of an experiment; allowed of atml_exp: {', '.join(OURS)}")
    if private := [name for name in path.split(".") if name.startswith("_") and _is_below(path, TRUSTED)]:
        raise ConfigError(f"_target_ = {path}: {private[0]} is private; allowed: public functions and classes")


def check_object(path: str, trusted: Sequence[str] = ()) -> None:
    """As `check_target`, and ConfigError where the path leads out of the trusted packages: `torch.nn.init.math.exp`
    is what a trusted module imports, and no part of it. Imports modules below trusted packages only.
    """
    check_target(path, trusted)
    found = locate(path)
    if not callable(found):
        return  # nor will it be called
    home = _home(found)
    if path.rpartition(".")[0] == "torch.nn.functional" and home in ("", "torch"):
        return  # compiled, conv2d for instance
    allowed = (*OURS, *TRUSTED[1:], *installed_packages(), *trusted)
    if not _is_below(home, (*allowed, *BUILTIN)):
        of = home or f"a {type(found).__name__}"
        raise ConfigError(
            f"_target_ = {path}: leads out of the trusted packages, to {of}; allowed: {', '.join(allowed)}. "
            f"If you trust its code: trusted_packages=[{home.split('.')[0] or 'PACKAGE'}], and its own path"
        )


def _is_below(path: str, packages: Sequence[str]) -> bool:
    return any(path == p or path.startswith(p + ".") for p in packages)


def _home(found: Any) -> str:
    """The module in which a function or class is written; empty where none is said."""
    if isinstance(found, partial):
        return _home(found.func)
    return str(getattr(found, "__module__", None) or "")


def instantiate(node: DictConfig, trusted: Sequence[str] = ()) -> Any:
    """The object that a node describes, with plain containers inside.

    ConfigError for an untrusted target, and where the target itself raises one.
    """
    for target in targets(OmegaConf.to_container(node, resolve=True)):
        check_object(target, trusted)
    with building(str(node.get("_target_", "a node"))):
        return hydra.utils.instantiate(node, _convert_="all")


@contextmanager
def building(what: str) -> Iterator[None]:
    """Within it, an error of the code that a config's values are given to is one message: a ConfigError where it is
    of the kind that values cause, an OutOfMemoryError where memory doesn't suffice, else a BuildError.
    """
    try:
        yield
    except SAID:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        if isinstance(cause, SAID):
            raise cause from None
        lines = str(cause).splitlines() or [""]
        if _is_of_memory(cause):
            raise OutOfMemoryError(f"{what}: doesn't fit in memory: {lines[0][:300]}") from cause
        kind, said = (
            (ConfigError, "can't be made of these values")
            if isinstance(cause, OF_VALUES)
            else (BuildError, "failed")
        )
        raise kind(
            f"{what}: {said}: {type(cause).__name__}: {lines[0][:300]} (HYDRA_FULL_ERROR=1 shows where)"
        ) from cause


def _is_of_memory(error: BaseException) -> bool:
    from atml_exp.memory import is_out_of_memory

    return isinstance(error, Exception) and is_out_of_memory(error)
