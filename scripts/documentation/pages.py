"""The pages that are made from docstrings and configs: one for each concept, one for each other module."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

from docstrings import escaped, prose, to_myst
from formulas import formulas_in, from_prose
from gallery_pages import cards, picture, with_formulas
from library import Choice, Library
from roles import GROUPS
from source import Module, Thing

from atml_exp.gallery.folder import Folder, folders

__all__ = ["write_pages"]

TITLES = {
    "dataset": ("Datasets", "What is learnt from: `dataset=NAME`."),
    "dataset/wrapper": ("Wrappers", "Changes of the data, one after the other: `+dataset/wrapper=[NAME,…]`."),
    "model": ("Models", "The hypotheses: `model=NAME`."),
    "loss": ("Losses", "What is minimised: `loss=NAME`."),
    "optimiser": ("Optimisers", "How it is minimised: `optimiser=NAME`."),
    "optimiser/schedule": ("Schedules", "Of the step size, multiplied: `optimiser/schedule=[NAME,…]`."),
    "recipe": ("Recipes", "What is done, in which order: `recipe=NAME`."),
    "probe": ("Probes", "What is measured while it trains, or afterwards: `probe=[NAME,…]`."),
    "logger": ("Loggers", "Where the numbers go besides the run directory: `logger=[NAME,…]`."),
    "experiment": ("Experiments", "Presets from papers, which set all of the above: `experiment=NAME`."),
    "figure": ("Gallery", "Lecture figures, each with the claims of its papers put to the test."),
}
_LISTS = frozenset({"dataset/wrapper", "optimiser/schedule", "probe", "logger"})
Link = Callable[[str], str | None]


def write_pages(library: Library, figures: Path, target: Path) -> None:
    """Writes them into the folder of Sphinx' sources. figures: the folder of those that were made."""
    made = {folder.name: folder for folder in folders(figures)}
    for choice in library.choices.values():
        _write(target / f"{choice.page[1:]}.md", _concept(library, choice, made.get(choice.name), target))
    for group in GROUPS.values():
        page = cards(library.group(group), made, target) if group == "figure" else _table(library.group(group))
        title, text = TITLES[group]
        _write(target / "concepts" / group / "index.md", [f"# {title}", text, page])
    _write(target / "api" / "index.md", _contents(library))
    for module in _others(library):
        _write(target / "api" / f"{module.name}.md", _module_page(library, module))


def _write(path: Path, parts: Sequence[str] | Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _table(choices: Sequence[Choice]) -> str:
    rows = [f"* - [`{c.name}`]({c.page}.md)\n  - {prose(c.description)}" for c in choices]
    return ":::{list-table}\n:class: names\n:widths: 1 3\n" + "\n".join(rows) + "\n:::"


# A concept


def _concept(library: Library, choice: Choice, made: Folder | None, target: Path) -> Iterator[str]:
    title, _ = TITLES[choice.group]
    heading = choice.said["title"] if choice.group == "figure" else choice.name
    yield f"---\norphan: true\n---\n\n{{.up}}\n[{title}](/concepts/{choice.group}/index.md)"
    yield f"# {escaped(heading)}"
    yield from _figure(choice, made, target) if choice.group == "figure" else _other(choice)
    yield from _code(library, choice)
    yield "## Config\n\n" + f"`{choice.path.relative_to(library.root).as_posix()}`"
    yield f"```yaml\n{_without_header(choice)}\n```"
    yield from _connections(library, choice)


def _other(choice: Choice) -> Iterator[str]:
    yield f"{{.lead}}\n{prose(choice.description)}"
    yield f"```bash\n{choice.header.get('command') or _command(choice)}\n```"
    yield from _fields(choice.header)


def _command(choice: Choice) -> str:
    value = f"[{choice.name}]" if choice.group in _LISTS else choice.name
    return f"atml-exp {choice.group}={value}"


def _fields(header: Mapping[str, str]) -> Iterator[str]:
    """What the head of a config says of paper, expectation and duration."""
    shown = {name: " ".join(text.split()) for name, text in header.items() if name != "command"}
    yield "\n\n".join(f"{name.capitalize()}\n: {with_formulas(text)}" for name, text in shown.items())


def _figure(choice: Choice, made: Folder | None, target: Path) -> Iterator[str]:
    said = choice.said
    yield f"{{.lead}}\n{escaped(said['topic'])} · `{choice.name}`"
    yield from picture(made, target)
    yield with_formulas(said["text"])
    yield f"```bash\natml-figures make {choice.name}                # or scale=smoke: a quick check\n```"
    yield "**Papers**\n\n" + "\n".join(map(_paper, said["papers"]))
    yield from _fields({name: text for name, text in choice.header.items() if name != "paper"})


def _paper(paper: Mapping[str, str]) -> str:
    if doi := paper.get("doi"):
        return f"- {escaped(paper['citation'])}. [doi:{escaped(doi)}](https://doi.org/{doi})"
    return f"- {escaped(paper['citation'])}. [{escaped(urlsplit(paper['url']).netloc)}](<{paper['url']}>)"


def _without_header(choice: Choice) -> str:
    """A figure's YAML without what the page says already; others in full, with their comments."""
    if choice.group == "figure":
        lines = choice.text.splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith(("module:", "base:", "sweeps:")))
        return "\n".join(lines[first:])
    return choice.text.strip()


def _connections(library: Library, choice: Choice) -> Iterator[str]:
    """Where to go from here."""
    lines = []
    for label, group in (("Figures that use it", "figure"), ("Experiments that use it", "experiment")):
        if choice.group != group and (others := library.used_by(choice, group)):
            lines.append(f"{label}\n: {_links(others)}")
    if used := library.used.get(choice):
        by_group = groupby(used, key=lambda c: c.group)
        lines += [f"{TITLES[group][0]}\n: {_links(list(several))}" for group, several in by_group]
    if related := library.related(choice):
        lines.append(f"Related\n: {_links(related)}")
    module = library.module_of(choice)
    if module and library.hosts[module.name] != choice:
        lines.append(f"Its module\n: [`{module.name}`]({library.hosts[module.name].page}.md)")
    if path := library.test_of(choice):
        lines.append(f"Tests\n: `{path.as_posix()}`")
    if lines:
        yield "## See also\n\n" + "\n\n".join(lines)


def _links(choices: Sequence[Choice]) -> str:
    return ", ".join(f"[{c.name}]({c.page}.md)" for c in choices)


# Code


def _code(library: Library, choice: Choice) -> Iterator[str]:
    thing, module = library.thing_of(choice), library.module_of(choice)
    if thing is None or module is None:
        return
    hosted = library.hosts[module.name] == choice
    if choice.group in ("loss", "optimiser") and "\n    " not in thing.docstring:
        yield "\n\n".join(f"$$\n{from_prose(formula)}\n$$" for formula in formulas_in(thing.docstring))
    yield "## What it is"
    if hosted:
        yield f"```{{py:module}} {module.name}\n```"
        yield from _about_module(library, module, thing)
    else:
        yield f"```{{py:currentmodule}} {module.name}\n```"
    yield _object(library, module, thing, indexed=hosted)
    others = [other for other in module.things.values() if other.name != thing.name]
    if hosted and others:
        yield "## Also in its module"
        yield from (_object(library, module, other) for other in others)


def _about_module(library: Library, module: Module, thing: Thing) -> Iterator[str]:
    """What the module's docstring says beyond the first line, which stands at the head of a page."""
    if module.docstring and not thing.docstring.startswith(module.docstring.partition("\n")[0]):
        yield to_myst(module.docstring, link=_linker(library, module))


def _contents(library: Library) -> Iterator[str]:
    yield "# Modules"
    yield (
        "All public functions and classes, from their docstrings. The code of a dataset, a probe and so on "
        "is on the page of that concept."
    )
    rows = [
        f"* - [`{m.name}`](/api/{m.name}.md)\n  - {prose(m.docstring.partition(chr(10))[0])}"
        for m in _others(library)
    ]
    yield ":::{list-table}\n:class: names\n:widths: 1 2\n" + "\n".join(rows) + "\n:::"


def _others(library: Library) -> list[Module]:
    """Modules that no concept's page describes and that define something public."""
    return [
        m for name, m in library.modules.items() if name not in library.hosts and (m.things or m.name == "atml_exp")
    ]


def _module_page(library: Library, module: Module) -> Iterator[str]:
    yield "---\norphan: true\n---\n\n{.up}\n[Modules](/api/index.md)"
    yield f"# {escaped(module.name)}"
    yield f"```{{py:module}} {module.name}\n```"
    yield to_myst(module.docstring, link=_linker(library, module))
    for thing in module.things.values():
        yield _object(library, module, thing)


def _object(library: Library, module: Module, thing: Thing, indexed: bool = True, depth: int = 5) -> str:
    """A directive of Sphinx' for Python objects, so that search and index have it."""
    fence = "`" * depth
    link = _linker(library, module, thing.parameters)
    head = f"{fence}{{py:{thing.kind}}} {thing.name}{_one_line(thing.signature)}"
    option = "" if indexed else ":no-index:\n"
    inner = [_object(library, module, method, indexed, depth - 1) for method in thing.methods]
    body = [to_myst(thing.docstring, thing.parameters, link), *inner]
    return f"{head}\n{option}\n" + "\n\n".join(part for part in body if part) + f"\n{fence}"


def _one_line(signature: str) -> str:
    return " ".join(signature.split()).replace("\\", "\\\\")


def _linker(library: Library, module: Module, parameters: frozenset[str] = frozenset()) -> Link:
    """Links from names in backticks: dotted ones, those of the module, and others that only one module has."""

    def link(name: str) -> str | None:
        if name in parameters or not name.replace(".", "").isidentifier():
            return None
        if name in library.modules:
            return f"{{py:mod}}`{name}`"
        path, _, last = name.rpartition(".")
        if path in library.modules and last in library.modules[path].things:
            return f"{{py:obj}}`{name}`"
        if not path and name in module.things:
            return f"{{py:obj}}`{name} <{module.name}.{name}>`"
        known = library.objects.get(name, set())
        if len(known) == 1 and ("_" in name or name[:1].isupper()):
            return f"{{py:obj}}`{name} <{next(iter(known))}>`"
        return None

    return link
