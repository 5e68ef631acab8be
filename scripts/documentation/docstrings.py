"""Docstrings, plain prose with Unicode formulas, as MyST: nothing in them is taken for markup by accident."""

import ast
import re
from collections.abc import Callable, Iterator
from textwrap import dedent

from formulas import from_prose

__all__ = ["escaped", "prose", "to_myst"]

Link = Callable[[str], str | None]
"""From a name in backticks to MyST that links to it, or None."""

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([\\*_\[\]<>$#|~^{}!&])")
_SCRIPT = re.compile(r"((?<![\w}])[^\W\d_][̂̄̃]?′?|‖)([_^])(?:\{([^{}]+)\}|([A-Za-z0-9Α-Ωα-ω]+′?))")
_LOW = str.maketrans("ijkntl", "ᵢⱼₖₙₜₗ")
_ADDRESS = re.compile(r"(https?://[^\s,;)`]+[^\s,;.)`])")
_TERM = r"`?[\w*…<>/]+`?(?: \([^()]*(?:\([^()]*\)[^()]*)*\))?"
_ITEM = re.compile(rf"({_TERM}(?:, (?:and )?{_TERM})*): +(?=\S)")
_LATER = r"[a-z]+(?:_\w+)+(?: \([^()]*\))?(?:, [a-z]\w*)*"
_BULLET = re.compile(r"- ")
_NOT_TERMS = frozenset({"Raises", "Returns", "Note", "Source", "NaN", "See"})


def to_myst(docstring: str, parameters: frozenset[str] = frozenset(), link: Link = lambda name: None) -> str:
    """A whole docstring: paragraphs, `name: what it is` as definitions, lists, formulas, doctests.

    parameters: names that begin a definition wherever a line begins with them and a colon.

    >>> print(to_myst("λ_max of *H*.\\n\\nk: how many."))
    λ{sub}`max` of \\*H\\*.
    <BLANKLINE>
    `k`
    : how many.
    """
    blocks = re.split(r"\n[ \t]*\n", docstring.expandtabs().strip("\n"))
    return "\n\n".join(part for block in blocks if block.strip() for part in _block(block, parameters, link))


def prose(text: str, link: Link = lambda name: None) -> str:
    """A line of text with code in backticks: what would be markup is escaped, what stands as x_i is set so."""
    parts = _CODE.split(text)
    return "".join(_code(part[1:-1], link) if i % 2 else _plain(part) for i, part in enumerate(parts))


def escaped(text: str) -> str:
    """Text in which nothing is markup.

    >>> print(escaped("a*b_c"))
    a\\*b\\_c
    """
    return _MARKUP.sub(r"\\\1", text).replace("`", "\\`")


def _plain(text: str) -> str:
    parts = _ADDRESS.split(text)
    return "".join(f"<{part}>" if i % 2 else _scripts(part) for i, part in enumerate(parts))


def _scripts(text: str) -> str:
    """Escaped, with `x_i`, `λ_max` and `e_{yᵢ}` as sub- and superscripts."""
    made, end = [], 0
    for found in _SCRIPT.finditer(text):
        role = "sub" if found[2] == "_" else "sup"
        script = re.sub(r"_([ijkntl])\b", lambda m: m[1].translate(_LOW), found[3] or found[4])
        made += [escaped(text[end : found.start(2)]), f"{{{role}}}`{script}`"]
        end = found.end()
    return "".join([*made, escaped(text[end:])])


def _code(text: str, link: Link) -> str:
    flat = " ".join(text.split())
    return link(flat) or f"`{flat}`"


def _block(block: str, parameters: frozenset[str], link: Link) -> Iterator[str]:
    lines = block.splitlines()
    if lines[0].lstrip().startswith(">>>"):
        yield _fence("pycon", dedent(block))
    elif all(line.startswith("    ") for line in lines):
        yield _indented(dedent(block))
    else:
        for group in _groups(lines, parameters):
            yield _group(group, parameters, link)


def _indented(block: str) -> str:
    """Code, or formulas, one to a line."""
    if _is_python(block):
        return _fence("python", block)
    return "\n\n".join(f"$$\n{from_prose(line.strip())}\n$$" for line in block.splitlines())


def _groups(lines: list[str], parameters: frozenset[str]) -> Iterator[list[str]]:
    """The lines of a paragraph, of an item, or of a bullet."""
    group: list[str] = []
    defines = _is_item(lines[0], lines[1:2], parameters, first=True)
    for i, line in enumerate(lines):
        starts = bool(_BULLET.match(line)) or line.startswith(">>>") or (i == 0)
        starts |= _is_item(line, lines[i + 1 : i + 2], parameters, first=defines)
        starts |= defines and line.startswith(("Raises ", "Returns ", "ValueError ", "RuntimeError "))
        if starts and group:
            yield group
            group = []
        group.append(line)
    yield group


def _is_item(line: str, following: list[str], parameters: frozenset[str], first: bool) -> bool:
    found = _ITEM.match(line)
    if not found or line.startswith(" ") or found[1].split()[0] in _NOT_TERMS:
        return False
    known = re.findall(r"\w+", found[1].partition("(")[0])[:1][0] in parameters
    hanging = bool(following) and following[0].startswith(" ")
    identifier = re.fullmatch(r"`?[a-z_*][\w*…<>/]*`?", found[1].split(" ")[0].rstrip(","))
    return known or hanging or bool(first and identifier)


def _group(lines: list[str], parameters: frozenset[str], link: Link) -> str:
    text = " ".join(line.strip() for line in lines)
    if text.startswith(">>>"):
        return _fence("pycon", dedent("\n".join(lines)))
    if text.startswith("- "):
        return f"- {prose(text[2:], link)}"
    found = _ITEM.match(text)
    if found and (_is_item(lines[0], lines[1:2], frozenset(), True) or text[0] == "`"):
        later = "|".join([_LATER, *map(re.escape, parameters)])
        first, *others = re.split(rf"(?<=[.)]) (?=(?:{later}): )", text)
        return "\n\n".join(_definition(item, link) for item in [first, *others])
    text = prose(text, link)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+:=])", r"\\\1", text))


def _definition(item: str, link: Link) -> str:
    found = _ITEM.match(item)
    assert found
    return f"{_terms(found[1])}\n: {prose(item[found.end() :], link)}"


def _terms(text: str) -> str:
    """Names as code, shapes and the like as they are."""
    parts = re.split(r"(\([^()]*(?:\([^()]*\)[^()]*)*\))", text)
    named = [re.sub(r"`?([\w*…<>/]+)`?", _as_code, part) for part in parts[::2]]
    shapes = [*map(_scripts, parts[1::2]), ""]
    return "".join(name + shape for name, shape in zip(named, shapes, strict=True))


def _as_code(found: "re.Match[str]") -> str:
    return "and" if found[1] == "and" else f"`{found[1]}`"


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
