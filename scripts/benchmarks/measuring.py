"""What every part of the benchmark shares: a row of the table, and times that are taken in turn."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Options", "Row", "interleaved", "readable", "speed", "wall"]


@dataclass(frozen=True)
class Options:
    """repeats: how often each contestant is timed. runs: how many are simulated."""

    repeats: int
    runs: int = 2000


@dataclass(frozen=True)
class Row:
    """One line of the table; ratio: how many times faster we are."""

    what: str
    ours: str
    theirs: str
    ratio: str
    target: str
    met: bool


def wall(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def interleaved(contestants: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The seconds that each contestant returns, taken in turn (A B C A B C …) after one round that doesn't count.

    What else the machine does then falls on all of them alike, and the ratio is taken within each round.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(repeats + 1):
        for name, contestant in contestants.items():
            seconds = contestant()
            if round_ > 0:
                times[name].append(seconds)
    return times


def speed(
    what: str, ours: Sequence[float], rival: str, theirs: Sequence[float], at_least: float, per: int = 1
) -> Row:
    """Medians, and the median (quartiles) of the ratios theirs/ours within each round. per: operations timed."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratio, ratio, ratio)
    return Row(
        what=what,
        ours=readable(statistics.median(ours) / per),
        theirs=f"{readable(statistics.median(theirs) / per)} {rival}".rstrip(),
        ratio=f"{ratio:.2f} ({low:.2f} to {high:.2f})",
        target=f"≥ {at_least:g}",
        met=ratio >= at_least,
    )


def readable(seconds: float) -> str:
    """Three figures and a unit.

    >>> readable(0.0001234), readable(0.5), readable(12)
    ('123 µs', '500 ms', '12.0 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:#.3g} s"
