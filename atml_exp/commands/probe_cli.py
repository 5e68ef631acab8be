"""`atml-exp-probe RUN_DIR [probe=NAME …]`: measures a run's checkpoints."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atml_exp.commands.arguments import Parser
from atml_exp.commands.entry import enter
from atml_exp.errors import ConfigError
from atml_exp.search_path import add_working_directory

__all__ = ["main"]

EXAMPLES = """examples:
  atml-exp-probe outputs/runs/1f0c…                                the run's own probes
  atml-exp-probe outputs/runs/1f0c… probe=sharpness                another one
  atml-exp-probe outputs/runs/1f0c… probe=sharpness probe.sharpness.fn.k=5 --csv top5.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table of step, name and value; 2 and one message where something can't be measured."""
    return enter("atml-exp-probe", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.csv and Path(arguments.csv).exists():
        return _refuse(f"--csv {arguments.csv}: exists already; name a new file")
    add_working_directory()
    from atml_exp.probe_run import probe_run

    try:
        table = probe_run(arguments.run, arguments.overrides)
        if arguments.csv:
            table.to_csv(arguments.csv, index=False, mode="x")
    except (ConfigError, OSError) as error:
        return _refuse(str(error))
    if table.empty:
        return _refuse("nothing was measured; choose probe=NAME")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.8g}"))
    return 0


def _parser() -> Parser:
    parser = Parser(
        "atml-exp-probe",
        description="Measures a run's checkpoints, with the same numbers as while it was training.",
        epilog=EXAMPLES,
    )
    parser.add_argument("run", help="a run directory, finished or going on")
    parser.add_argument("overrides", nargs="*", default=[], help="probe=NAME, probe.NAME.KEY=VALUE, device=cpu")
    parser.add_argument("--csv", metavar="FILE", help="also write the table to a new file")
    return parser


def _refuse(message: str) -> int:
    text = message.replace("\n", "\n  ")
    print(f"atml-exp-probe: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
