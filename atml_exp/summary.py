"""The table that a command prints when its runs are done."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from atml_exp.runs import Run
from atml_exp.store.environment import environment

__all__ = ["print_summary", "print_sweep"]

_FIRST = ("train/loss", "test/loss", "train/error", "test/error")


class _Result(Protocol):
    @property
    def directory(self) -> Path: ...
    @property
    def reused(self) -> bool: ...


class _Outcome(_Result, Protocol):
    @property
    def status(self) -> str: ...
    @property
    def error(self) -> str: ...


def print_summary(results: Sequence[_Result], console: Console | None = None) -> None:
    """For each run: status, the last value of each metric with its step, and where the report is."""
    console = console or Console(width=None if Console().is_terminal else 100)
    for result in results:
        run = Run(result.directory)
        console.print(_heading(run, result.reused), style="italic", highlight=False, soft_wrap=True)
        console.print(_table(run))
        if run.status == "diverged" and run.info.get("error"):
            console.print(escape(str(run.info["error"])), highlight=False, soft_wrap=True)
        if result.reused and (difference := _made_elsewhere(run)):
            console.print(f"made with {difference}: here the last digits may differ (force=true)", highlight=False)
        for probe, reason in (run.info.get("probe_failures") or {}).items():
            console.print(f"[yellow]probe {escape(probe)} failed:[/] {escape(reason)}", highlight=False)
        console.print(f"report: {_report(run)}", highlight=False, soft_wrap=True)


def _heading(run: Run, reused: bool) -> str:
    at = f" at step {run.info.get('diverged_at')}" if run.status == "diverged" else ""
    return f"run {run.directory.name}: {run.status}{at}{' (was there already)' if reused else ''}"


def print_sweep(results: Sequence[_Outcome], jobs: Sequence[Sequence[str]], console: Console | None = None) -> None:
    """How many jobs were done, reused, diverged and failed; which failed and why; how to read them as one table."""
    console = console or Console(width=None if Console().is_terminal else 100)
    counts: dict[str, int] = {}
    for result in results:
        kind = "reused" if result.reused and result.status == "complete" else result.status
        counts[kind] = counts.get(kind, 0) + 1
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    console.print(f"sweep of {len(results)} jobs: {said}", highlight=False)
    for line in _unfinished(results, jobs):
        console.print(escape(line), highlight=False, soft_wrap=True)
    if results:
        folder = results[0].directory.parent.parent
        console.print(f'all as one table: atml_exp.load("{folder}")', highlight=False, soft_wrap=True)


def _unfinished(results: Sequence[_Outcome], jobs: Sequence[Sequence[str]]) -> Iterator[str]:
    """Which jobs failed or diverged, and why; a reason that several share is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for overrides, result in zip(jobs, results, strict=True):
        if result.status in ("failed", "diverged"):
            found.setdefault((result.status, result.error), []).append(" ".join(overrides))
    for (status, error), lines in found.items():
        why = f": {error}" if error else ""
        if len(lines) == 1 or not why:
            yield from (f"  {status}: {line}{why}" for line in lines)
        else:
            yield f"  {status}, {len(lines)} jobs{why}"
            yield from (f"    {line}" for line in lines)


def _made_elsewhere(run: Run) -> str:
    """In what the machine that trained the run differs from this one, where that can change its numbers."""
    here, there = environment(), run.info
    pairs = {
        "torch": (here["versions"]["torch"], (there.get("versions") or {}).get("torch")),
        "threads": (here["machine"]["threads"], (there.get("machine") or {}).get("threads")),
    }
    differing = [f"{name} {then} (now {now})" for name, (now, then) in pairs.items() if then not in (None, now)]
    return ", ".join(differing)


def _table(run: Run) -> Table:
    table = Table()
    table.add_column("quantity", no_wrap=True)  # on a narrow terminal values wrap, names stay whole
    table.add_column("value", justify="right")
    table.add_column("step", justify="right")
    for name, values, step in _rows(run):
        table.add_row(name, values, str(step))
    return table


def _rows(run: Run) -> list[tuple[str, str, int]]:
    """Loss and error first, then the probes; a sweep `probe/key/0.5`, `probe/key/0.2`, … in one row."""
    last = run.metrics.groupby("name", sort=False).tail(1).set_index("name")  # .last() would skip NaN
    names = sorted(last.index, key=lambda n: _FIRST.index(n) if n in _FIRST else len(_FIRST))
    rows: dict[str, list[str]] = {}
    for name in names:
        rows.setdefault(_stem(name), []).append(name)
    return [
        (_label(stem, members), "  ".join(_number(n, last.value[n]) for n in members), int(last.step[members[0]]))
        for stem, members in rows.items()
    ]


def _stem(name: str) -> str:
    head, _, tail = name.rpartition("/")
    return head if "/" in head and _is_number(tail) else name


def _label(stem: str, members: list[str]) -> str:
    if len(members) == 1:
        return members[0]
    ends = [members[k].rpartition("/")[2] for k in (0, -1)]
    return f"{stem} at {ends[0]} … {ends[1]}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(name: str, value: float) -> str:
    if name.endswith("/error") and math.isfinite(value):
        return f"{100 * value:.2f} %"
    return f"{value:.3g}"


def _report(run: Run) -> str:
    path = run.directory / "report.html"
    return str(path.resolve()) if path.exists() else "none"
