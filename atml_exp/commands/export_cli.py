"""`atml-exp-export RUN_DIR FILE`: a trained model for plain PyTorch."""

import sys
from collections.abc import Sequence

from atml_exp.commands.arguments import Parser
from atml_exp.commands.entry import enter
from atml_exp.errors import ConfigError

__all__ = ["main"]

EXAMPLES = """examples:
  atml-exp-export outputs/runs/1f0c… model.pt                     zeros where weights have been pruned
  atml-exp-export outputs/runs/1f0c… model.pt --naming prune      weight_orig and weight_mask, as torch's pruning
  atml-exp-export outputs/runs/1f0c… model.safetensors --step 60  of an earlier checkpoint
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file and says so; 2 and one message where it can't."""
    return enter("atml-exp-export", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not isinstance(arguments.file, str):  # what argparse makes of a lone --
        parser.error("the following arguments are required: file")
    from atml_exp.export import export

    try:
        path = export(arguments.run, arguments.file, arguments.naming, arguments.step)
    except (ConfigError, OSError, ValueError, RuntimeError) as error:  # the last one: torch's own of a file
        text = str(error).partition("\nException raised from")[0].replace("\n", "\n  ")
        print(f"atml-exp-export: {text}", file=sys.stderr)
        return 2
    print(path)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "atml-exp-export",
        description="Writes a run's model as a state_dict that loads without atml_exp.",
        epilog=EXAMPLES,
    )
    parser.add_argument("run", help="a run directory, finished or going on")
    parser.add_argument("file", help="a new file, .pt or .safetensors")
    parser.add_argument("--naming", choices=("dense", "prune"), default="dense", help="of pruned weights")
    parser.add_argument("--step", type=int, help="of the checkpoint; the last one by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
