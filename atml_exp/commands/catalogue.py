"""What there is to choose from, each with a line that says what it is: from files, whose code is not imported."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from atml_exp.errors import ConfigError
from atml_exp.nodes import targets
from atml_exp.search_path import configs_folders

__all__ = ["KINDS", "Entry", "catalogue", "kind_of"]

KINDS = {
    "datasets": "dataset",
    "wrappers": "dataset/wrapper",
    "models": "model",
    "losses": "loss",
    "optimisers": "optimiser",
    "schedules": "optimiser/schedule",
    "recipes": "recipe",
    "probes": "probe",
    "loggers": "logger",
    "experiments": "experiment",
    "figures": "figure",
}
"""The config group of each kind of thing."""


@dataclass(frozen=True)
class Entry:
    """A choice of a config group: its name, what it is in a line, and the file that says so."""

    name: str
    description: str
    path: Path


def catalogue(group: str, extra_dirs: Sequence[str] = ()) -> list[Entry]:
    """All choices of a config group by name: ours, those of installed packages and of further folders.

    The line is a figure's title and topic, else the first comment of the YAML, else the first line of the docstring
    of what its `_target_` names. Of files of one name the one counts that Hydra takes. ConfigError for a
    further folder that isn't there.

    >>> [entry.name for entry in catalogue("model") if entry.name.startswith("m")]
    ['mlp']
    """
    if absent := [folder for folder in extra_dirs if not Path(folder).is_dir()]:
        raise ConfigError(f"--config-dir {absent[0]}: there is no such folder")
    folders = [*map(Path, extra_dirs), *configs_folders()]
    paths = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return [Entry(name, _description(group, paths[name]), paths[name]) for name in sorted(paths)]


def kind_of(word: str) -> str:
    """The config group that a word means, `probes`, `probe` or `dataset/wrapper`. ConfigError with the nearest."""
    from atml_exp.schema import nearest

    if word in KINDS.values():
        return word
    singular = {group.rpartition("/")[2]: group for group in KINDS.values()}
    known = {**KINDS, **singular, "optimizers": "optimiser", "optimizer": "optimiser"}
    if word not in known:
        raise ConfigError(f"{word}: not a kind of thing; allowed: {', '.join(KINDS)}{nearest(word, list(known))}")
    return known[word]


def _description(group: str, path: Path) -> str:
    """ConfigError that names the file where it isn't YAML, or not of such a thing."""
    try:
        return _described(group, path)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{path}: is no config of group {group}: {said}") from error


def _described(group: str, path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if group == "figure":
        said = yaml.safe_load(text)
        return f"{said['title']} ({said['topic']})"
    return _first_comment(text) or _first_line(_innermost(yaml.safe_load(text)))


def _first_comment(text: str) -> str:
    """The first sentence of the comments at the head of a file, the fields of its header apart."""
    sentence: list[str] = []
    for line in takewhile(lambda line: line.startswith("#"), text.splitlines()):
        if not re.match(r"# *(@package|(paper|command|expected|duration):)", line):
            sentence.append(line.strip("# "))
            if line.rstrip().endswith((".", "?", "!")):
                break
    return " ".join(sentence)


def _innermost(node: Any) -> str:
    """A probe's function, and not the wrapper that schedules it; empty where nothing is named."""
    return ([*targets(node)] or [""])[-1]


def _first_line(target: str) -> str:
    """Of the docstring of a function or class, read from its source; empty where that can't be had."""
    module, _, name = target.rpartition(".")
    spec = find_spec(module) if module else None
    if spec is None or not (spec.origin or "").endswith(".py"):
        return ""
    tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
