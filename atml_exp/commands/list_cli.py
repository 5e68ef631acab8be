"""`atml-exp-list [KIND …]`: what there is to choose from, with a line on each."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from atml_exp.commands.arguments import Parser
from atml_exp.commands.catalogue import KINDS, Entry, catalogue, kind_of
from atml_exp.commands.entry import enter
from atml_exp.errors import ConfigError
from atml_exp.search_path import add_working_directory

__all__ = ["main"]

EXAMPLES = """examples:
  atml-exp-list                          how many there are of each kind
  atml-exp-list probes                   all probes
  atml-exp-list datasets wrappers        all datasets, and what can be done to them
  atml-exp-list --search sharpness       whatever has to do with sharpness
  atml-exp-list models --config-dir DIR  those of a folder of yours too
"""


def main(argv: Sequence[str] | None = None) -> int:
    """0: listed. 1: nothing has to do with the searched word. 2: no such kind, said in one message."""
    return enter("atml-exp-list", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    add_working_directory()
    try:
        kinds = [kind_of(word) for word in arguments.kinds] or list(KINDS.values())
        found = {kind: catalogue(kind, arguments.config_dir) for kind in kinds}
    except ConfigError as error:
        sys.stderr.write(f"atml-exp-list: {error}\n")
        return 2
    return _shown(arguments, found)


def _shown(arguments: argparse.Namespace, found: Mapping[str, Sequence[Entry]]) -> int:
    if not arguments.kinds and arguments.search is None:
        return _overview(found)
    return _listing(found, arguments.search or "")


def _parser() -> Parser:
    parser = Parser(
        "atml-exp-list",
        description="Lists what there is to choose from, with a line on each.",
        epilog=EXAMPLES,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--search", metavar="WORD", help="only those with this word in their name or description")
    parser.add_argument(
        "--config-dir", metavar="DIR", action="append", default=[], help="a further folder of configs"
    )
    return parser


def _overview(found: Mapping[str, Sequence[Entry]]) -> int:
    for kind, group in KINDS.items():
        names = [entry.name for entry in found[group]]
        print(f"{kind:<12} {len(names):>3}  {', '.join(names[:3])}{', …' if len(names) > 3 else ''}")
    print("\natml-exp-list KIND says what each is")
    return 0


def _listing(found: Mapping[str, Sequence[Entry]], word: str) -> int:
    chosen = {kind: [e for e in entries if _has(e, word)] for kind, entries in found.items()}
    kinds = [kind for kind, entries in chosen.items() if entries]
    if not kinds:
        print(
            f"nothing has {word!r} in its name or description; atml-exp-list shows what there is", file=sys.stderr
        )
        return 1
    for number, kind in enumerate(kinds):
        if len(kinds) > 1:
            print(f"{'' if number == 0 else chr(10)}{kind}: {_usage(kind)}")
        _print(chosen[kind])
    if len(kinds) == 1:
        print(f"\nto use one: {_usage(kinds[0])}")
    return 0


def _has(entry: Entry, word: str) -> bool:
    return word.casefold() in f"{entry.name} {entry.description}".casefold()


def _print(entries: Sequence[Entry]) -> None:
    """A name and its line; in a terminal lines are broken at its width."""
    width = max(len(entry.name) for entry in entries)
    room = shutil.get_terminal_size().columns - width - 4 if sys.stdout.isatty() else 10**6
    for entry in entries:
        first, *rest = textwrap.wrap(entry.description, max(room, 20), break_on_hyphens=False) or [""]
        print(f"  {entry.name:<{width}}  {first}")
        for line in rest:
            print(f"  {'':<{width}}  {line}")


def _usage(kind: str) -> str:
    """The command that uses an entry of a config group."""
    if kind == "figure":
        return "atml-figures make NAME"
    if kind in ("probe", "logger"):
        return f"atml-exp {kind}=[NAME,…]"
    return f"atml-exp {'+' if '/' in kind else ''}{kind}=NAME"


if __name__ == "__main__":
    sys.exit(main())
