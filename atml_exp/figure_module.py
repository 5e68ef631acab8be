"""The module that a figure's YAML names: found before any training, and what its two functions return checked."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import isfunction
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from atml_exp.errors import SAID, BuildError, ConfigError
from atml_exp.figures.claim import Claim
from atml_exp.schema import locate, nearest

__all__ = ["check_functions", "claimed", "drawn", "figure_module", "of_module"]

FUNCTIONS = {"draw": "draw(table) -> Figure", "claims": "claims(table) -> [Claim]"}
"""What a module must have."""


def figure_module(name: str, path: str) -> Any:
    """The module of the figure `name`. ConfigError, with the nearest spelling, where there is none, where it can't
    be imported, and where one of its functions is missing.
    """
    try:
        module = import_module(path)
        check_functions(module)
    except ConfigError as error:
        raise ConfigError(f"figure {name}: module = {path}: {error}") from error.__cause__
    except Exception as error:
        raise ConfigError(f"figure {name}: module = {path}: {_why_not(path, error)}") from error
    return module


def check_functions(module: Any) -> None:
    """ConfigError unless a module has `draw` and `claims`."""
    for function in FUNCTIONS:
        if not callable(getattr(module, function, None)):
            own = [n for n, f in vars(module).items() if isfunction(f) and f.__module__ == _name(module)]
            allowed = f"allowed: a module with {' and '.join(FUNCTIONS.values())}"
            raise ConfigError(f"{_name(module)} has no function {function}; {allowed}{nearest(function, own)}")


def drawn(module: Any, table: pd.DataFrame) -> Figure:
    """What the module's `draw` makes of the table. BuildError, in one sentence, where that is no Figure."""
    figure = _called(module, "draw", table)
    if isinstance(figure, Figure):
        return figure
    hint = "; does it end with `return figure`?" if figure is None else ""
    raise BuildError(f"{_name(module)}.draw returned {_kind(figure)}: it must be a matplotlib Figure{hint}")


def claimed(module: Any, table: pd.DataFrame) -> list[Claim]:
    """What the module's `claims` makes of the table. BuildError, in one sentence, where it raises or gives anything
    but a list with one Claim or more.
    """
    where, found = f"{_name(module)}.claims", _called(module, "claims", table)
    if not isinstance(found, list | tuple):
        raise BuildError(f"{where} returned {_kind(found)}: it must be a list of Claim, [Claim(…), …]")
    if not found:
        raise BuildError(f"{where} returned no Claim: the figure states no claim, and it must state one or more")
    for claim in found:
        if not isinstance(claim, Claim):
            raise BuildError(f"{where} holds {_kind(claim)}: it must be a Claim")
    return list(found)


@contextmanager
def of_module(module: Any, what: str) -> Iterator[None]:
    """Within it, an error is one message that names the exception and the line of the module that it came by, if
    any. What is said already, `SAID`, passes.
    """
    try:
        yield
    except SAID:
        raise
    except Exception as error:
        raise BuildError(
            f"{what}: {_said(error)}{_line(module, error)} (HYDRA_FULL_ERROR=1 shows the traceback)"
        ) from error


def _called(module: Any, function: str, table: pd.DataFrame) -> Any:
    call: Callable[[pd.DataFrame], Any] = getattr(module, function)
    with of_module(module, f"{_name(module)}.{function} failed"):
        return call(table)


def _why_not(path: str, error: Exception) -> str:
    """Why a module can't be imported: there is none, with the nearest, or its own code fails."""
    if isinstance(error, ModuleNotFoundError) and error.name and f"{path}.".startswith(f"{error.name}."):
        try:
            return f"is {_kind(locate(path))}, and must be a module"
        except ConfigError as missing:
            return str(missing).removeprefix(f"_target_ = {path}: ")
    where = f", line {error.lineno} of {error.filename}" if isinstance(error, SyntaxError) else _deepest(error)
    return f"importing it failed: {_said(error)}{where} (HYDRA_FULL_ERROR=1 shows the traceback)"


def _line(module: Any, error: Exception) -> str:
    """The last line of the module that an error came by: what lies deeper is a library's."""
    file = getattr(module, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]} of {file}" if lines else ""


def _deepest(error: Exception) -> str:
    """The line of code that raised an error, unless that is what imports modules."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "" if frame.filename.startswith("<frozen") else f", line {frame.lineno} of {frame.filename}"


def _said(error: Exception) -> str:
    """An exception's kind and message, in a line: matplotlib marks errors in formulas over several."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _name(module: Any) -> str:
    return str(getattr(module, "__name__", type(module).__name__))


def _kind(value: Any) -> str:
    """What a value is: `None`, `a Figure`, `an Axes`."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
