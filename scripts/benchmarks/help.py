"""`atml-exp --help` must feel instant: no torch import."""

import statistics
import subprocess
import sys
from pathlib import Path

from measuring import Options, Row, interleaved, readable, wall

LIMIT = 1.0


def measure(options: Options) -> list[Row]:
    """Wall time of a whole process, and that of a Python that does nothing beside it."""
    commands = {
        "help": [str(Path(sys.executable).with_name("atml-exp")), "--help"],
        "nothing": [sys.executable, "-c", ""],
    }
    times = interleaved({n: lambda c=c: wall(lambda: _silently(c)) for n, c in commands.items()}, options.repeats)
    seconds = statistics.median(times["help"])
    bare = f"{readable(statistics.median(times['nothing']))} python -c ''"
    return [Row("help: atml-exp --help", readable(seconds), bare, "", f"< {LIMIT:g} s", seconds < LIMIT)]


def _silently(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
