"""`atml-exp-doctor`: what this machine has, and what will be slow on it."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from atml_exp.commands.arguments import Parser
from atml_exp.commands.entry import enter

if TYPE_CHECKING:
    from atml_exp.commands.doctor import Finding

__all__ = ["main"]

EXAMPLES = """examples:
  atml-exp-doctor                            takes a few seconds
  atml-exp-doctor --output-dir /scratch/me   whether runs can be written there, and how fast
  atml-exp-doctor --json                     for a bug report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """0: runs can be made here, if slowly. 1: something is broken."""
    return enter("atml-exp-doctor", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    from atml_exp.commands.doctor import examine

    findings = []
    for finding in examine(arguments.output_dir):
        findings.append(finding)
        if not arguments.json:
            _print(finding)
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
    return int(any(finding.grade == "broken" for finding in findings))


def _parser() -> Parser:
    parser = Parser(
        "atml-exp-doctor",
        description="Says what this machine has (CPU, GPU, memory, torch, optional extras) and what will be slow.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--output-dir", default="outputs", help="where runs are to go (default: outputs)")
    parser.add_argument("--json", action="store_true", help="the same, to be read by programs")
    return parser


def _print(finding: "Finding") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(width=None if Console().is_terminal else 10**4)
    colour = {"ok": "green", "slow": "yellow", "missing": "dim", "broken": "red"}[finding.grade]
    console.print(
        f"[{colour}]{finding.grade:<8}[/]{finding.topic:<12} {escape(finding.said)}",
        highlight=False,
        soft_wrap=True,
    )
    if finding.advice:
        console.print(f"{'':<21}→ {escape(finding.advice)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
