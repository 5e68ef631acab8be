"""`atml-figures list | make NAME… | gallery`: lecture figures that say whether their claims hold."""

import argparse
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atml_exp.commands.arguments import Parser
from atml_exp.commands.entry import enter
from atml_exp.errors import SAID, BuildError, ConfigError, exit_code
from atml_exp.search_path import add_working_directory

__all__ = ["main"]

EXAMPLES = """examples:
  atml-figures list                                          which there are, and which claims held
  atml-figures list edge_of_stability                        how many of its runs are trained already
  atml-figures make edge_of_stability                        on two CPU cores within two minutes
  atml-figures make edge_of_stability scale=smoke            in seconds, to see that it works
  atml-figures make edge_of_stability seed=0,1,2,3,4         with other values for an axis of its sweep
  atml-figures make all                                      every figure
  atml-figures gallery                                       the page with all that were made
"""


def main(argv: Sequence[str] | None = None) -> int:
    """0: done, whether or not claims hold. 1: a run failed, or a figure's own code. 2: what can't run, said in one
    message. Stopped: 130 by Ctrl-C, 143 by SIGTERM, 129 by a terminal that was closed.
    """
    return enter("atml-figures", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    add_working_directory()
    try:
        return arguments.action(arguments)
    except SAID as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    """Says the error in one message, after its traceback where that is asked for; the exit code."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    text = str(error).replace("\n", "\n  ")
    sys.stderr.write(f"atml-figures: {text}\n")
    return exit_code(error)


def _parser() -> Parser:
    parser = Parser(
        "atml-figures",
        description="Lecture figures: each trains what it lacks, draws, and says whether the paper's claims held.",
        epilog=EXAMPLES,
    )
    commands = parser.add_subparsers(required=True, metavar="list | make | gallery")
    listing = commands.add_parser(
        "list", help="the figures, and how many of their claims hold where they were made"
    )
    listing.add_argument("names", nargs="*", metavar="NAME", help="count the runs of these that are there")
    making = commands.add_parser("make", help="trains what is missing, draws, checks the claims")
    making.add_argument("words", nargs="+", metavar="NAME | KEY=VALUE", help="figures (or all), scale=…, overrides")
    gallery = commands.add_parser("gallery", help="a page with all figures that were made")
    for command, action in ((listing, _list), (making, _make), (gallery, _gallery)):
        command.set_defaults(action=action)
        command.add_argument(
            "--output-dir", default="outputs", help="where runs and figures are (default: outputs)"
        )
    return parser


def _list(arguments: argparse.Namespace) -> int:
    """All figures, or those that are named: of these the runs are counted too, which takes a second for each."""
    from rich.console import Console
    from rich.table import Table

    from atml_exp.figure_spec import figure_names, figure_spec

    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "what it is", "runs (laptop)", "claims"):
        table.add_column(heading, no_wrap=heading in ("figure", "runs (laptop)"))
    for name in arguments.names or figure_names():
        spec = figure_spec(name)
        runs = _runs(spec, arguments.output_dir) if arguments.names else str(len(spec.jobs("laptop")))
        table.add_row(name, f"{spec.title} ({spec.topic})", runs, _verdicts(arguments.output_dir, name))
    Console(width=None if Console().is_terminal else 140).print(table, highlight=False)
    return 0


def _runs(spec: Any, output_dir: str) -> str:
    from atml_exp.figure_make import num_missing

    missing, total = num_missing(spec, "laptop", output_dir)
    return f"{total - missing} of {total} there"


def _verdicts(output_dir: str, name: str) -> str:
    """How many claims of a figure that was made hold; nothing where it wasn't."""
    from atml_exp.gallery.folder import read

    try:
        folder = read(Path(output_dir) / "figures" / name)
    except (OSError, ValueError):
        return ""
    holding = sum(claim.verdict == "holds" for claim in folder.claims)
    return f"{holding} of {len(folder.claims)} hold ({folder.about.scale})"


def _make(arguments: argparse.Namespace) -> int:
    names, options, overrides = _sorted_out(arguments.words)
    from atml_exp.figure_module import figure_module
    from atml_exp.figure_spec import figure_names, figure_spec

    scale = options.get("scale", "laptop")
    output_dir = options.get("output_dir", arguments.output_dir)
    chosen = figure_names() if names == ["all"] else names
    specs = {name: figure_spec(name) for name in chosen}
    for name, spec in specs.items():
        figure_module(name, spec.module)
    given = {"scale": scale, "overrides": overrides, "output_dir": output_dir}
    return max([_made(name, spec, given) for name, spec in specs.items()])


def _made(name: str, spec: Any, given: Mapping[str, Any]) -> int:
    """Makes one figure of those that are named. Where its own code fails this is said, and the others are made."""
    from atml_exp.figure_make import make

    try:
        outcome = make(name, spec, **given)
    except BuildError as error:
        return _refused(error)
    return _report(name, outcome)


def _sorted_out(words: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """Names of figures, options of this command, and overrides of the jobs."""
    names = [w for w in words if "=" not in w and not w.startswith("~")]
    own = {k: v for k, _, v in (w.partition("=") for w in words) if k in ("scale", "output_dir") and v}
    rest = [w for w in words if w not in names and w.partition("=")[0] not in own]
    if not names:
        raise ConfigError("no figure is named; atml-figures list shows those that there are")
    return names, own, rest


def _report(name: str, outcome: Any) -> int:
    """Prints the claims with their verdicts, or which runs failed and why; the exit code."""
    from rich.console import Console
    from rich.text import Text

    from atml_exp.figure_make import verdict_lines
    from atml_exp.summary import print_sweep

    console = Console(width=None if Console().is_terminal else 120)
    if outcome.made is None:
        print_sweep(outcome.results, [[sweep, *job] for sweep, job in outcome.jobs], console)
        console.print(f"{name}: not drawn, since runs failed; the same command tries them again", highlight=False)
        return 1
    made = outcome.made
    console.print(f"{name}: {made.num_runs} runs, {made.num_reused} of them there already", highlight=False)
    for claim in made.claims:
        colour = {"holds": "green", "does not hold": "red"}.get(claim.verdict, "yellow")
        first, second = map(Text, verdict_lines(claim))
        first.stylize(colour, 0, 14)
        second.stylize("dim", len(second) - len(claim.paper))
        console.print(first)
        console.print(second)
    console.print(f"{made.folder}/{name}.png, .svg, .pdf, .csv, claims.json", highlight=False, soft_wrap=True)
    return 0


def _gallery(arguments: argparse.Namespace) -> int:
    from atml_exp.gallery.site import write_gallery

    root = Path(arguments.output_dir)
    print(write_gallery(root / "figures", root / "gallery").resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
