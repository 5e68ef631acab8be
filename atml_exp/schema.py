"""What a `_target_` accepts, read from its signature: names, types, ranges, defaults."""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Interval, Le, Lt

from atml_exp.errors import ConfigError
from atml_exp.fields import Incidental, Says

__all__ = ["Parameter", "Schema", "describe_type", "locate", "nearest", "schema_of"]

MISSING = inspect.Parameter.empty
SPECIAL = ("_target_", "_partial_", "_recursive_", "_convert_")
"""Keys of a node that are Hydra's, not the target's."""


@dataclass(frozen=True)
class Parameter:
    """annotation: with ranges, or Any. runtime: given by a call and not by a config, in a partial node."""

    name: str
    annotation: Any
    default: Any
    runtime: bool
    incidental: bool

    @property
    def required(self) -> bool:
        return self.default is MISSING


@dataclass(frozen=True)
class Schema:
    """The parameters of a target; `open` where it takes any keyword."""

    target: Any
    parameters: Mapping[str, Parameter]
    open: bool


@cache
def locate(path: str) -> Any:
    """The object that a dotted path names. ConfigError with the nearest name where there is none."""
    parts = path.split(".")
    if parts[0] == "torchvision":
        from atml_exp.torchvision_operators import import_torchvision

        import_torchvision()  # which by itself can't be imported beside every build of torch
    for split in range(len(parts), 0, -1):
        name = ".".join(parts[:split])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise ConfigError(f"_target_ = {path}: importing {name} failed: {error}") from error
            continue
        except Exception as error:
            raise ConfigError(f"_target_ = {path}: importing {name} failed: {error}") from error
        return _attribute(found, parts[split:], path)
    raise ConfigError(f"_target_ = {path}: there is no module {parts[0]}; is it installed, or in this folder?")


def _attribute(found: Any, names: list[str], path: str) -> Any:
    for name in names:
        if not hasattr(found, name):
            where = getattr(found, "__name__", found)
            raise ConfigError(f"_target_ = {path}: {where} has no {name!r}{nearest(name, _inside(found))}")
        found = getattr(found, name)
    return found


def _inside(found: Any) -> list[str]:
    """Names in an object, and the modules of a package."""
    names = [n for n in dir(found) if not n.startswith("_")]
    if hasattr(found, "__path__"):
        import pkgutil

        names += [m.name for m in pkgutil.iter_modules(found.__path__)]
    return names


@cache
def schema_of(path: str) -> Schema:
    """The schema of the object that a dotted path names. ConfigError where it can't be called."""
    target = locate(path)
    if not callable(target):
        raise ConfigError(f"_target_ = {path}: is a {type(target).__name__}, not something that can be called")
    return schema(target)


def schema(target: Any) -> Schema:
    """The schema of a function or class (a dataclass's fields are its parameters)."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return Schema(target, {}, open=True)
    hints = _hints(target)
    found = {}
    is_open = False
    for name, p in signature.parameters.items():
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            is_open = is_open or p.kind == p.VAR_KEYWORD
            continue
        annotation = hints.get(name, Any)
        found[name] = Parameter(
            name=name,
            annotation=annotation,
            default=_default(target, name, p),
            runtime=p.kind != p.KEYWORD_ONLY and not inspect.isclass(target),
            incidental=any(isinstance(m, Incidental) for m in _metadata(annotation)),
        )
    return Schema(target, found, is_open)


def _hints(target: Any) -> dict[str, Any]:
    source = target
    if inspect.isclass(target) and not dataclasses.is_dataclass(target):
        source = target.__init__
    try:
        return typing.get_type_hints(source, include_extras=True)
    except (NameError, TypeError):
        return {}


def _default(target: Any, name: str, parameter: inspect.Parameter) -> Any:
    """A dataclass's default factory counts by what it makes."""
    if dataclasses.is_dataclass(target):
        for field in dataclasses.fields(target):
            if field.name == name and field.default_factory is not dataclasses.MISSING:
                return field.default_factory()
    return parameter.default


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return annotation.__metadata__ if get_origin(annotation) is Annotated else ()


def nearest(name: str, names: Any, ask: str = "did you mean") -> str:
    """`; did you mean width?`, or nothing where no name is a slip of the fingers away: two edits, of up to four
    letters one, an exchange of neighbours counting as one; case, hyphens and underscores count for nothing.

    >>> nearest("widht", ["depth", "width"])
    '; did you mean width?'
    >>> nearest("x", ["depth", "width"]), nearest("balance", ["landscape"])
    ('', '')
    """
    wanted = _plain(name)
    found = []
    for other in map(str, names):
        plain = _plain(other)
        allowed = 1 if min(len(wanted), len(plain)) <= 4 else 2
        if abs(len(plain) - len(wanted)) <= allowed:
            likeness = SequenceMatcher(None, wanted, plain).ratio()
            if (edits := _edits(wanted, plain)) <= allowed and likeness >= 0.6:
                found.append((edits, _edits(str(name), other), -likeness, other))
    return f"; {ask} {min(found)[-1]}?" if found else ""


def _plain(name: Any) -> str:
    return str(name).lower().replace("-", "").replace("_", "").replace(" ", "")


def _edits(a: str, b: str) -> int:
    """Letters that are left out, put in, replaced or exchanged with their neighbour from one text to the other."""
    before, row = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        older, before, row = before, row, [i]
        for j in range(1, len(b) + 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 2 : i] == b[j - 2 : j][::-1]:
                least = min(least, older[j - 2] + 1)
            row.append(least)
    return row[-1]


def describe_type(annotation: Any) -> str:
    """A type in plain words.

    >>> from atml_exp.fields import PositiveInt, Fraction
    >>> describe_type(PositiveInt), describe_type(Fraction | None)
    ('a whole number greater than 0', 'a number from 0 to 1, or null')
    >>> describe_type(Literal["relu", "tanh"])
    'relu or tanh'
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return _describe_annotated(annotation)
    if origin is Literal:
        return _any_of([_word(v) for v in get_args(annotation)])
    if origin in (Union, types.UnionType):
        words = [describe_type(a) for a in get_args(annotation)]
        return ", or ".join(sorted(words, key=lambda w: w == "null"))
    if origin in (tuple, list, Sequence) or annotation in (tuple, list, Sequence):
        items = [a for a in get_args(annotation) if a is not Ellipsis]
        return "a list" + (f" in which each item is {describe_type(items[0])}" if items else "")
    if annotation is Callable or origin in (Callable, typing.get_origin(Callable[..., Any])):
        return "a node with _target_"
    return _PLAIN.get(annotation, "a mapping" if origin is not None else getattr(annotation, "__name__", "a value"))


_PLAIN = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    None: "null",
    dict: "a mapping",
    Any: "anything",
}


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


def _any_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _describe_annotated(annotation: Any) -> str:
    inner, *metadata = get_args(annotation)
    for m in metadata:
        if isinstance(m, Says):
            return m.text
    bounds: dict[str, Any] = {}
    for m in metadata:
        for part in m if isinstance(m, Interval) else [m]:
            if isinstance(part, BaseMetadata):
                bounds |= _bound(part)
    return " ".join([describe_type(inner), *_bounds_in_words(bounds)])


def _bound(part: BaseMetadata) -> dict[str, Any]:
    kinds: tuple[tuple[Any, str], ...] = ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt"))
    return {key: getattr(part, key) for kind, key in kinds if isinstance(part, kind)}


def _bounds_in_words(bounds: dict[str, Any]) -> list[str]:
    finite = {k: v for k, v in bounds.items() if abs(v) != float("inf")}
    if set(finite) == {"ge", "le"}:
        return [f"from {finite['ge']:g} to {finite['le']:g}"]
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
    text = " and ".join(f"{words[k]} {v:g}" for k, v in finite.items())
    return [text] if text else (["that is finite"] if bounds else [])
