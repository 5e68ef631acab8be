"""How far training is: a live bar in a terminal, a line now and then elsewhere."""

import math
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

__all__ = ["Progress"]

_REDRAW = 0.1
_PLAIN_INTERVAL = 10.0


class Progress:
    """A context manager around a training loop; `update` may be called at each step, for under 2 µs.

        with Progress(1000, "digits mlp") as progress:
            for step in range(1000):
                progress.update(step + 1, {"train/loss": loss})

    In a terminal the bar is redrawn ten times a second, with speed, time left and the numbers in `postfix`; the
    terminal is restored however the block is left. Elsewhere a line is printed at each tenth of the way and
    after ten seconds without one.

    total_steps: the step at which training ends (a resumed run starts at a later one than 0).
    stream: standard error unless given. The speed is the mean since the first update.
    """

    def __init__(
        self, total_steps: int, description: str, stream: TextIO | None = None, *, enabled: bool = True
    ) -> None:
        self._total, self._description = total_steps, description
        self._stream, self._enabled = stream or sys.stderr, enabled
        self._bar: Bar | None = None
        self._interval = _PLAIN_INTERVAL
        self._first: tuple[int, float] | None = None
        self._shown = -1
        self._last: tuple[int, Mapping[str, float]] | None = None
        self._due_time = self._due_step = math.inf if not enabled else -math.inf

    def __enter__(self) -> Self:
        if self._enabled and self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            self._interval = _REDRAW
            self._bar = _bar(self._stream)
            self._bar.add_task(self._description, total=self._total, text="")
            self._bar.start()
        return self

    def update(self, step: int, postfix: Mapping[str, float]) -> None:
        """`step` steps are done; `postfix` names the numbers to show beside them."""
        self._last = (step, postfix)
        if step >= self._due_step or time.perf_counter() >= self._due_time:
            self._show(step, postfix)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._enabled and self._last and self._last[0] != self._shown:
                self._show(*self._last)
        finally:
            if self._bar is not None:
                self._bar.stop()

    def _show(self, step: int, postfix: Mapping[str, float]) -> None:
        now = time.perf_counter()
        self._due_time, self._due_step = now + self._interval, self._next_mark(step)
        starting = self._first is None
        self._first = self._first or (step, now)
        numbers = "  ".join(f"{name} {value:.3g}" for name, value in postfix.items())
        if self._bar is not None:
            self._draw(self._bar, step, f"{self._pace(step, now)}\n{numbers}")
        elif not starting or step >= self._total:  # a first line would say nothing
            self._print(step, f"{numbers and '  '}{numbers}{self._pace(step, now)}")

    def _next_mark(self, step: int) -> float:
        """The step at which to show something whatever the time: the end, and without a bar each tenth."""
        if step >= self._total:
            return math.inf
        return self._total if self._bar else math.ceil((10 * step // self._total + 1) * self._total / 10)

    def _pace(self, step: int, now: float) -> str:
        first_step, first_time = self._first or (step, now)
        if step <= first_step or now <= first_time:
            return ""
        speed = (step - first_step) / (now - first_time)
        left = timedelta(seconds=round(max(self._total - step, 0) / speed))
        return f"  {speed:{'.0f' if speed >= 10 else '.2g'}} steps/s  {left} left"

    def _draw(self, bar: Bar, step: int, text: str) -> None:
        bar.update(bar.task_ids[0], completed=step, text=f"{step}/{self._total}{text}")
        bar.refresh()
        self._shown = step

    def _print(self, step: int, text: str) -> None:
        share = 100 * step // max(self._total, 1)
        line = f"{self._description}  step {step}/{self._total} ({share} %){text}"
        print(line, file=self._stream, flush=True)
        self._shown = step


def _bar(stream: TextIO) -> Bar:
    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6, max_width=40)),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream, force_terminal=True),
        auto_refresh=False,  # no second thread: `update` redraws
        redirect_stdout=sys.stdout.isatty(),  # a stdout that goes to a file must go on doing so
    )
