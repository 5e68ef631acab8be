"""A lottery experiment as one command: ten rounds, the tickets and four controls, five seeds, on digits."""

import subprocess
import sys
import tempfile

from measuring import Options, Row, readable, wall

__all__ = ["measure"]

ARMS, SEEDS, ROUNDS, LIMIT = 5, 5, 10, 120.0


def measure(options: Options) -> list[Row]:
    """One round, whatever the options say: the figure with its drawing, as anybody would call it."""
    del options
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "atml_exp.commands.figure_cli", "make", "lottery_ticket"]
        more = [f"recipe.rounds={ROUNDS}", f"seed=range({SEEDS})", "device=cpu", "progress=false"]
        more.append(f"output_dir={folder}")
        seconds = wall(lambda: subprocess.run([*command, *more], check=True, capture_output=True, cwd=folder))
    what = f"lottery: {ROUNDS} rounds, tickets and {ARMS - 1} controls, {SEEDS} seeds, and the figure"
    return [Row(what, readable(seconds), "", "", f"≤ {LIMIT:g} s", seconds <= LIMIT)]
