"""What `configs/figure/NAME.yaml` says: what a figure shows, and the sweeps that it is drawn from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from atml_exp.build import check_target
from atml_exp.compose import choices_of, read_choice, sweep_jobs
from atml_exp.errors import ConfigError
from atml_exp.fields import Name
from atml_exp.overrides import parse
from atml_exp.schema import nearest
from atml_exp.search_path import installed_packages

__all__ = ["SCALES", "FigureSpec", "Paper", "figure_names", "figure_spec", "overridden"]

Overrides = list[str | list[str]]
"""Overrides; a list among them is one of several alternatives, for axes that go together."""
SCALES = ("smoke", "laptop", "full")
_ADDRESSES = {
    "doi": (r"10\.\d{4,9}/\S+", "10.1162/neco.1992.4.1.1"),
    "url": (r"https?://[^\s/<>]+\.[^\s<>]+", "https://www.jmlr.org/papers/v19/18-188.html"),
}
"""Where a paper can be found: the pattern of each, and an example."""
_MEANINGS = {
    "title": "the heading of the picture",
    "topic": "of the course, such as Why SGD works",
    "text": "three sentences, what one sees and why",
    "papers": "a list with citation, and doi or url, of each",
    "module": "the dotted path of the code, such as my_project.figures.my_figure",
    "sweeps": "by name, the overrides of each sweep, such as {digits: [model=mlp, 'seed=0,1']}",
    "scales": "what each scale changes, such as {smoke: {base: [recipe.steps=5it]}, laptop: {}, full: {}}",
}
"""What each key that must be given says."""


@dataclass(frozen=True)
class Paper:
    """A reference and where it is: doi without the resolver's address, or url where it has no DOI."""

    citation: Name
    doi: Name | None = None
    url: Name | None = None


@dataclass(frozen=True)
class FigureSpec:
    """A figure and its sweeps.

    title, topic (of the course), text (three sentences: what one sees and why; formulas between dollar signs).
    module: dotted path of a module with draw(table) -> Figure and claims(table) -> list[Claim].
    base: overrides of every job. sweeps: by name, those of each sweep; one that names several values is an axis,
    and lists among them are alternatives, for axes that go together.
    scales: for each scale, overrides for `base` and for each sweep; null leaves that sweep out.
    """

    title: Name
    topic: Name
    text: Name
    papers: list[Paper]
    module: Name
    sweeps: dict[str, Overrides]
    scales: dict[Literal["smoke", "laptop", "full"], dict[str, Overrides | None]]
    base: Overrides = field(default_factory=list)

    def jobs(self, scale: str, overrides: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
        """(sweep, overrides) of each job at a scale; `overrides`, the command line's, hold for every sweep.

        Of several overrides of one key the last counts: an axis given on the command line replaces the figure's.
        Where it makes another choice, `model=rosenbrock`, the figure's options that this choice doesn't have go.
        """
        if scale not in self.scales:
            allowed = ", ".join(self.scales) or "none, since the figure's scales are empty"
            raise ConfigError(f"scale = {scale}: allowed: {allowed}{nearest(scale, self.scales)}")
        extra = self.scales[scale]
        jobs = []
        for name, own in self.sweeps.items():
            if name in extra and extra[name] is None:
                continue
            lines = [*self.base, *own, *(extra.get("base") or ()), *(extra.get(name) or ())]
            jobs += [
                (name, job) for chosen in _alternatives(lines) for job in sweep_jobs(overridden(chosen, overrides))
            ]
        if not jobs:
            raise ConfigError(f"scale = {scale}: it runs none of the figure's sweeps; allowed: one or more")
        return jobs


def overridden(lines: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Overrides with others after them: of several of one key the last counts, and where `overrides` make another
    choice, the options that this choice doesn't have go.

    >>> overridden(["model=mlp", "model.width=4", "seed=0"], ["model=linear"])
    ['seed=0', 'model=linear']
    """
    return _last_of_each_key([*_without_foreign(lines, overrides), *overrides])


def figure_names(config_dirs: Sequence[str] = ()) -> list[str]:
    """The figures that there are."""
    return choices_of("figure", config_dirs)


def figure_spec(name: str, config_dirs: Sequence[str] = ()) -> FigureSpec:
    """Reads and checks a figure's YAML. ConfigError for an unknown name, with the nearest, or for what it says."""
    names = figure_names(config_dirs)
    if name not in names:
        raise ConfigError(f"figure {name}: there is none; allowed: {', '.join(names)}{nearest(name, names)}")
    node: Any = OmegaConf.to_container(read_choice("figure", name, config_dirs))
    known = [f.name for f in fields(FigureSpec)]
    if unknown := [key for key in node if key not in known]:
        raise ConfigError(
            f"figure {name}: no key {unknown[0]!r}; allowed: {', '.join(known)}{nearest(unknown[0], known)}"
        )
    _check_all_there(name, node)
    try:
        spec = TypeAdapter(FigureSpec).validate_python(node)
    except ValidationError as error:
        raise ConfigError(f"figure {name}: {_said(error)}") from error
    _check_module(name, spec.module)
    _check_papers(name, node["papers"])
    _check_sweeps(name, spec)
    return spec


def _said(error: ValidationError) -> str:
    first = error.errors()[0]
    meaning = _MEANINGS.get(str(first["loc"][0])) if len(first["loc"]) == 1 else None
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}" + (f"; allowed: {meaning}" if meaning else "")


def _check_all_there(name: str, node: Mapping[str, Any]) -> None:
    """ConfigError where a key that must be given isn't, or has no value."""
    needed = [f.name for f in fields(FigureSpec) if f.default_factory is MISSING]
    for key in needed:
        if node.get(key) is None:
            given = f"the key {key} has no value" if key in node else f"the key {key} is missing"
            raise ConfigError(f"figure {name}: {given}: {_MEANINGS[key]}; to be given: {', '.join(needed)}")


def _check_module(name: str, path: str) -> None:
    """ConfigError where the code to draw with lies outside the trusted packages. Imports nothing."""
    try:
        check_target(path)
    except ConfigError as error:
        reason = str(error).removeprefix(f"_target_ = {path}: ").partition(" If you trust its code")[0]
        meant = nearest(path.partition(".")[0], ("atml_exp", *installed_packages()))
        raise ConfigError(f"figure {name}: module = {path}: {reason.rstrip('.')}{meant}") from None


def _check_papers(name: str, papers: Sequence[Mapping[str, str | None]]) -> None:
    """ConfigError unless each is a Paper with one of doi and url, which is well formed."""
    known = [f.name for f in fields(Paper)]
    for number, paper in enumerate(papers):
        where = f"figure {name}: papers.{number}"
        if unknown := [key for key in paper if key not in known]:
            raise ConfigError(
                f"{where}: no key {unknown[0]!r}; allowed: {', '.join(known)}{nearest(unknown[0], known)}"
            )
        given = {key: text for key in _ADDRESSES if (text := paper.get(key)) is not None}
        if len(given) != 1:
            found = "both doi and url" if given else "neither doi nor url"
            raise ConfigError(f"{where}: {paper['citation']}: {found}; allowed: doi, or url where there is no DOI")
        for key, text in given.items():
            pattern, example = _ADDRESSES[key]
            if not re.fullmatch(pattern, text):
                raise ConfigError(f"{where}.{key} = {text}: allowed: such as {example}")


def _check_sweeps(name: str, spec: FigureSpec) -> None:
    for scale, extra in spec.scales.items():
        for sweep in extra:
            if sweep not in ("base", *spec.sweeps):
                known = ("base", *spec.sweeps)
                raise ConfigError(
                    f"figure {name}: scales.{scale}.{sweep}: no such sweep; allowed: {', '.join(known)}"
                    f"{nearest(sweep, known)}"
                )


def _alternatives(lines: Sequence[str | list[str]]) -> list[list[str]]:
    """The overrides with each of the lists among them in turn, in its place."""
    lists = [line for line in lines if isinstance(line, list)] or [[]]
    return [
        [text for line in lines for text in ([line] if isinstance(line, str) else line if line is chosen else [])]
        for chosen in lists
    ]


def _without_foreign(lines: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """The figure's overrides but for options of a choice which `overrides` replace by one that hasn't got them."""
    allowed = {}
    for _, override in parse(overrides):
        group, choice = override.key_or_group, override.value()
        if "." not in group and isinstance(choice, str) and choice in choices_of(group):
            node = read_choice(group, choice)
            allowed[group] = set(node.get(group, node))
    kept = []
    for text, override in parse(lines):
        group, _, option = override.key_or_group.partition(".")
        if not option or group not in allowed or option.partition(".")[0] in allowed[group]:
            kept.append(text)
    return kept


def _last_of_each_key(lines: Sequence[str]) -> list[str]:
    latest: dict[str, str] = {}
    for text, override in parse(lines):
        latest.pop(override.key_or_group, None)
        latest[override.key_or_group] = text
    return list(latest.values())
