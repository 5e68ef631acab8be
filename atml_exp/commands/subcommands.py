"""`atml-exp list …` is `atml-exp-list …`, and so for each other command of ours."""

from collections.abc import Sequence
from importlib import import_module

__all__ = ["SUBCOMMANDS", "run_subcommand"]

SUBCOMMANDS = {
    "doctor": "atml_exp.commands.doctor_cli",
    "export": "atml_exp.commands.export_cli",
    "figures": "atml_exp.commands.figure_cli",
    "list": "atml_exp.commands.list_cli",
    "new": "atml_exp.commands.new_cli",
    "probe": "atml_exp.commands.probe_cli",
}
"""The module of each, with main(arguments) -> exit code."""


def run_subcommand(arguments: Sequence[str]) -> int | None:
    """The exit code of the command that the first word names; None where it names none, as overrides don't."""
    if not arguments or arguments[0] not in SUBCOMMANDS:
        return None
    return int(import_module(SUBCOMMANDS[arguments[0]]).main(list(arguments[1:])))
