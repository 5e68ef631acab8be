"""What an override says: `KEY=VALUE`, `+KEY=VALUE`, `~KEY`, as Hydra reads them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from atml_exp.errors import ConfigError

__all__ = ["parse"]


def parse(overrides: Sequence[str]) -> list[tuple[str, Override]]:
    """Each override with its meaning. ConfigError where one is not an override."""
    return [(text, _parsed(text)) for text in overrides]


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except HydraException as error:
        raise ConfigError(_not_an_override(text)) from error
    except (ValueError, RecursionError) as error:  # a number of more digits, or more brackets, than Python reads
        raise ConfigError(f"{text[:50]}…: can't be read: {str(error).partition(';')[0]}") from error
    if not override.key_or_group:
        raise ConfigError(_not_an_override(text))
    return override


def _not_an_override(text: str) -> str:
    key, sign, value = text.partition("=")
    hint = "" if sign or not key.strip() else f"; did you mean {key}=VALUE?"
    if not text.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in text):
        hint = "; the language of this terminal (LC_ALL, LANG) lacks these letters: LC_ALL=C.UTF-8 has them"
    elif value.startswith("~"):
        hint = f"; of ~ nothing is made here: {key}={Path.home().as_posix()}{value[1:]}"
    elif value:
        hint = f"; text with special characters goes in quotes within quotes: '{key}=\"{value}\"'"
    return f"{text!r}: not an override; allowed: KEY=VALUE, +KEY=VALUE (a new key) or ~KEY (without it){hint}"
