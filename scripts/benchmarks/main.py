"""Measures the parts that are named, all without a name, and prints one table.

A part is a file beside this one with `measure(options) -> list[Row]`; nothing lists them.
"""

import argparse
import importlib
import importlib.metadata
import os
import platform
from pathlib import Path

import torch
from measuring import Options, Row
from rich.console import Console
from rich.table import Table

PARTS = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("main", "measuring", "tuning"))
LIBRARIES = ("numpy", "scipy", "torch", "ripser", "pyhessian", "curvlinops-for-pytorch")


def main() -> None:
    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    console = Console() if Console().is_terminal else Console(width=160)
    console.print(_machine(), highlight=False)
    rows: list[Row] = []
    for part in arguments.parts or PARTS:
        with console.status(f"measuring {part} ..."):
            rows += importlib.import_module(part).measure(Options(arguments.repeats, arguments.runs))
    console.print(_table(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description="Times this package against others.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--repeats", type=int, default=11, help="rounds, medians of which count (default: 11)")
    parser.add_argument("--runs", type=int, default=2000, help="simulated by the part scale (default: 2000)")
    parser.add_argument("--threads", type=int, help="of torch (default: torch's own choice)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part named {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}: it must be at least 1")
    if arguments.runs < 1:
        parser.error(f"--runs is {arguments.runs}: it must be at least 1")
    return arguments


def _machine() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("atml_exp", *LIBRARIES))
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    return (
        f"{versions}, Python {platform.python_version()}\n"
        f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.platform()}; "
        f"load before (1, 5, 15 min): {load}\n"
        "times are medians of rounds taken in turn; ratio: theirs/ours within a round, median (quartiles)"
    )


def _processor() -> str:
    """Its model name where the system tells it (Linux), else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "ours", "theirs", "ratio", "target", ""):
        table.add_column(heading, no_wrap=heading != "what")
    for row in rows:
        verdict = ("met" if row.met else "NOT met") if row.target else ""
        table.add_row(row.what, row.ours, row.theirs, row.ratio, row.target, verdict)
    return table


if __name__ == "__main__":
    main()
