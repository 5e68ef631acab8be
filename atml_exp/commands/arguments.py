"""How our commands read their words: options and other words in any order, after a subcommand too."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Parser", "options_first"]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose options may stand before, between and after the other words.

    argparse's own refuses `RUN --csv FILE probe=norms`, since it takes all words that have no name at the first of
    them. epilog: is shown as it is written.

    >>> parser = Parser("example")
    >>> _ = parser.add_argument("words", nargs="*"), parser.add_argument("--scale")
    >>> parsed = parser.parse_args(["a", "--scale", "smoke", "seed=-1"])
    >>> parsed.scale, parsed.words
    ('smoke', ['a', 'seed=-1'])
    """

    def __init__(self, prog: str | None = None, **options: Any) -> None:
        super().__init__(prog, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._parted = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of ArgumentParser, which calls this of the parser of a subcommand too."""
        if self._parted or self._subparsers is not None:  # argparse can't part the words of a subcommand from it
            return super().parse_known_args(args, namespace)
        self._parted = True  # it calls this method in turn, once for options and once for the rest
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._parted = False


def options_first(options: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """A command line with these options, as argparse names them, and then the words that have no name.

    >>> options_first({"multirun": True, "config_dir": "x", "cfg": None}, ["seed=0,1"])
    ['--multirun', '--config-dir=x', '--', 'seed=0,1']
    """
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    flags = [name for name, value in given.items() if value is True]
    values = [f"{name}={value}" for name, value in given.items() if isinstance(value, str)]
    return [*flags, *values, *(["--", *words] if words else [])]
