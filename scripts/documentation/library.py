"""What the pages are made from: the choices in configs/, the code behind them, and how they are connected."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from composed import composed, jobs_of
from roles import GROUPS
from source import Module, Thing, modules

from atml_exp.commands.catalogue import catalogue
from atml_exp.nodes import targets

__all__ = ["Choice", "Library"]

_HEADER = re.compile(r"# *(paper|command|expected|duration): *(.*)")
_APART = frozenset({"templates", "figures", "pictures"})


@dataclass(frozen=True)
class Choice:
    """A choice of a config group. path: of its YAML."""

    group: str
    name: str
    description: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def said(self) -> Any:
        return yaml.safe_load(self.text)

    @property
    def page(self) -> str:
        """Of the site, without an ending."""
        return f"/concepts/{self.group}/{self.name}"

    @cached_property
    def targets(self) -> list[str]:
        """Dotted paths that it names, the innermost first."""
        if self.group in ("figure", "experiment"):
            return []
        return list(dict.fromkeys(reversed([*targets(self.said)])))

    @property
    def header(self) -> dict[str, str]:
        """The fields in the comments at its head: paper, command, expected, duration."""
        fields: dict[str, str] = {}
        name = ""
        for line in self.text.splitlines():
            if not line.startswith("#"):
                break
            if found := _HEADER.match(line):
                name = found[1]
                fields[name] = found[2]
            elif name and re.match(r"# {5,}", line):
                fields[name] += f"\n{line[1:].strip()}"
        return fields


class Library:
    """The repository at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def choices(self) -> dict[tuple[str, str], Choice]:
        own = self.root / "configs"
        every = ((group, entry) for group in GROUPS.values() for entry in catalogue(group))
        return {
            (group, entry.name): Choice(group, entry.name, entry.description, entry.path.resolve())
            for group, entry in every
            if entry.path.resolve().is_relative_to(own.resolve())
        }

    @cached_property
    def modules(self) -> dict[str, Module]:
        return modules(self.root / "atml_exp", without=_APART)

    def group(self, group: str) -> list[Choice]:
        return [choice for choice in self.choices.values() if choice.group == group]

    @cached_property
    def hosts(self) -> dict[str, Choice]:
        """The concept on whose page a module is described: of several the one that has its name."""
        found: dict[str, list[Choice]] = {}
        for choice in self.choices.values():
            if module := self.module_of(choice):
                found.setdefault(module.name, []).append(choice)
        return {
            name: next((c for c in several if c.name == name.rpartition(".")[2]), several[0])
            for name, several in found.items()
        }

    def module_of(self, choice: Choice) -> Module | None:
        """Of the code that the choice is about."""
        named = [self.modules.get(target.rpartition(".")[0]) for target in choice.targets[:1]]
        return named[0] if named else None

    def thing_of(self, choice: Choice) -> Thing | None:
        """The function or class that its `_target_` names, which for a probe is its `fn`."""
        module = self.module_of(choice)
        return module.things.get(choice.targets[0].rpartition(".")[2]) if module else None

    @cached_property
    def used(self) -> dict[Choice, list[Choice]]:
        """What the runs of each figure, at some scale, and of each experiment are made of; by group and name."""
        jobs = {choice: {(f"experiment={choice.name}",)} for choice in self.group("experiment")}
        groups = {group for group, _ in self.choices}
        jobs |= {choice: jobs_of(choice.said, groups) for choice in self.group("figure")}
        found = composed(frozenset().union(*jobs.values()))
        return {
            choice: [
                self.choices[key]
                for key in sorted(frozenset().union(*map(found.__getitem__, own)))
                if key in self.choices and key != (choice.group, choice.name)
            ]
            for choice, own in jobs.items()
        }

    def used_by(self, choice: Choice, group: str) -> list[Choice]:
        """The figures or experiments whose runs have it, chosen by them or by default."""
        return [other for other in self.group(group) if choice in self.used[other]]

    def related(self, choice: Choice) -> list[Choice]:
        """Concepts of the same module, and those whose functions its docstring names."""
        thing, module = self.thing_of(choice), self.module_of(choice)
        words = set(re.findall(r"`(?:[\w.]+\.)?(\w+)`", thing.docstring)) if thing else set()
        return [
            other
            for other in self.choices.values()
            if other != choice and other.group == choice.group and module
            if self.module_of(other) == module or other.name in words - (thing.parameters if thing else set())
        ]

    def test_of(self, choice: Choice) -> Path | None:
        """Its test, relative to the repository."""
        module = self.module_of(choice)
        folder = "/".join(module.name.split(".")[1:-1]) if module else f"{choice.group}s"
        stem = module.name.rpartition(".")[2] if module else choice.name
        path = Path("tests") / folder / f"test_{stem}.py"
        return path if (self.root / path).is_file() else None

    @cached_property
    def objects(self) -> dict[str, set[str]]:
        """Public names, and the dotted paths that they may stand for."""
        found: dict[str, set[str]] = {}
        for module in self.modules.values():
            for name in module.things:
                found.setdefault(name, set()).add(f"{module.name}.{name}")
        return found
