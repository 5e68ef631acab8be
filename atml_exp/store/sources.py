"""Code of a user's own that a run was made by: a run's id doesn't see it change, so it is said where it has.

What atml_exp, torch and torchvision are is told by their versions.
"""

import hashlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from atml_exp.nodes import targets
from atml_exp.runs import Run

__all__ = ["changed", "sources", "warn_of_changed"]

_VERSIONED = ("atml_exp", "torch", "torchvision")

log = logging.getLogger("atml_exp")


def sources(config: Any) -> dict[str, str]:
    """SHA-256 of each of a user's modules that a config's `_target_`s name, and of those of the same package that
    these have names from. Of modules that have been imported; keys: dotted names.

    >>> sources({"model": {"_target_": "atml_exp.models.mlp.mlp"}, "loss": {"_target_": "torch.nn.MSELoss"}})
    {}
    """
    named = (t for t in targets(config) if t.partition(".")[0] not in _VERSIONED)
    waiting = [module for target in named if (module := _module(target))]
    found: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        if module.__name__ not in found and (path := _path(module)):
            found[module.__name__] = hashlib.sha256(path.read_bytes()).hexdigest()
            waiting += _used(module)
    return dict(sorted(found.items()))


def changed(run: Run, config: Any) -> list[str]:
    """The modules that are not what they were when a run was made, as far as run.json tells of them."""
    if not (now := sources(config)):
        return []  # as most are, whose run.json then isn't read for it
    then = run.info.get("sources") or {}
    return [name for name in then if name in now and now[name] != then[name]]


def warn_of_changed(asked: Iterable[tuple[Run, Mapping[str, Any]]]) -> None:
    """Says in one line which of the runs that are there were made by other code. asked: with the config of now."""
    found = [(run, names) for run, config in asked if (names := changed(run, config))]
    if found:
        run, names = found[0]
        more = f", and so were {len(found) - 1} more" if len(found) > 1 else ""
        log.warning(
            "run %s is there already, and was made by other code than there is now: %s changed since%s; "
            "force=true trains anew",
            run.directory.name,
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'}",
            more,
        )


def _module(target: str) -> ModuleType | None:
    """The module of a dotted path, of which the last parts may be names within it."""
    parts = target.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((sys.modules[name] for name in names if name in sys.modules), None)


def _path(module: ModuleType) -> Path | None:
    path = Path(getattr(module, "__file__", None) or "")
    return path if path.suffix == ".py" and path.is_file() else None


def _used(module: ModuleType) -> Iterator[ModuleType]:
    """The modules of the same package whose functions, classes or selves stand in a module."""
    package = module.__name__.partition(".")[0]
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name.partition(".")[0] == package and name in sys.modules:
            yield sys.modules[name]
