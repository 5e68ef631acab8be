"""What an override says: `KEY=VALUE`, `+KEY=VALUE`, `~KEY`, as Hydra reads them."""

from collections.abc import Sequence
from functools import lru_cache

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
    if not override.key_or_group:
        raise ConfigError(_not_an_override(text))
    return override


def _not_an_override(text: str) -> str:
    key, sign, value = text.partition("=")
    hint = "" if sign or not key.strip() else f"; did you mean {key}=VALUE?"
    if value:
        hint = f"; text with special characters goes in quotes within quotes: '{key}=\"{value}\"'"
    return f"{text!r}: not an override; allowed: KEY=VALUE, +KEY=VALUE (a new key) or ~KEY (without it){hint}"
