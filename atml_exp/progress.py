"""How far training is: a live bar in a terminal, a line now and then elsewhere."""

import math
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from atml_exp.jupyter import NotebookBar, in_jupyter

__all__ = ["Display", "Progress", "SweepProgress"]

_REDRAW = 0.1
_NOTEBOOK_REDRAW = 0.2
_PLAIN_INTERVAL = 10.0


class Progress:
    """A context manager around a training loop; `update` may be called at each step, for under 2 µs.

        with Progress(1000, "digits mlp") as progress:
            for step in range(1000):
                progress.update(step + 1, {"train/loss": loss})

    In a terminal the bar is redrawn ten times a second, with speed, time left and the numbers in `postfix`; the
    terminal is restored however the block is left. In a notebook a bar in the cell's output is redrawn five times a
    second, unless a stream is given. Elsewhere a line is printed at each tenth of the way and after ten seconds
    without one. What can't be written to any more, a terminal that was closed, is let be.

    total_steps: the step at which training ends (a resumed run starts at a later one than 0).
    stream: standard error unless given. The speed is the mean since the first update.
    unit: what `per` steps are, for what is shown.
    """

    def __init__(
        self,
        total_steps: int,
        description: str,
        stream: TextIO | None = None,
        *,
        enabled: bool = True,
        unit: str = "steps",
        per: int = 1,
    ) -> None:
        self._total, self._description = total_steps, description
        self._unit, self._per = unit, per
        self._stream, self._enabled = stream or sys.stderr, enabled
        self._notebook = stream is None and in_jupyter()
        self._bar: _Bar | None = None
        self._interval = _PLAIN_INTERVAL
        self._first: tuple[int, float] | None = None
        self._shown = -1
        self._last: tuple[int, Mapping[str, float]] | None = None
        self._due_time = self._due_step = math.inf if not enabled else -math.inf

    def __enter__(self) -> Self:
        if self._enabled and self._notebook:
            self._interval, self._bar = _NOTEBOOK_REDRAW, NotebookBar(self._description, self._total)
        elif self._enabled and self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            self._interval, self._bar = _REDRAW, _TerminalBar(self._stream, self._description, self._total)
        return self

    def update(self, step: int, postfix: Mapping[str, float]) -> None:
        """`step` steps are done; `postfix` names the numbers to show beside them."""
        self._last = (step, postfix)
        if step >= self._due_step or time.perf_counter() >= self._due_time:
            with suppress(OSError):
                self._show(step, postfix)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._enabled and self._last and (self._notebook or self._last[0] != self._shown):
                with suppress(OSError):
                    self._show(*self._last, ended=True)
        finally:
            if self._bar is not None:
                with suppress(OSError):
                    self._bar.stop()

    def _show(self, step: int, postfix: Mapping[str, float], *, ended: bool = False) -> None:
        now = time.perf_counter()
        self._due_time, self._due_step = now + self._interval, self._next_mark(step)
        starting = self._first is None
        self._first = self._first or (step, now)
        numbers = "  ".join(f"{name} {value:.3g}" for name, value in postfix.items())
        if self._bar is not None:
            pace = "" if ended and self._notebook else self._pace(step, now)  # a notebook is kept as it was left
            self._bar.draw(step, f"{self._counted(step)}{pace}\n{numbers}")
            self._shown = step
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
        shown = speed / self._per
        return f"  {shown:{'.0f' if shown >= 10 else '.2g'}} {self._unit}/s  {left} left"

    def _counted(self, step: int) -> str:
        return f"{step // self._per}/{self._total // self._per}"

    def _print(self, step: int, text: str) -> None:
        share = 100 * step // max(self._total, 1)
        line = f"{self._description}  {self._unit.removesuffix('s')} {self._counted(step)} ({share} %){text}"
        print(line, file=self._stream, flush=True)
        self._shown = step


class Display(Protocol):
    """What shows how far a training is, for as long as it is entered."""

    def __enter__(self) -> Self: ...

    def update(self, step: int, postfix: Mapping[str, float]) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SweepProgress:
    """One display for all populations of a sweep: models done, models per second, time left.

        with SweepProgress(64, "sweep") as sweep:
            with sweep.population(32, 1000) as part:  # 32 models, 1000 steps
                part.update(500, {})                  # 16 of 64 models
            sweep.end(32)

    A model that is trained to the half counts as half a model; one that is trained several times, by a recipe, as
    much as its furthest training.
    """

    def __init__(
        self, num_models: int, description: str, stream: TextIO | None = None, *, enabled: bool = True
    ) -> None:
        self._shown = Progress(_PARTS * num_models, description, stream, enabled=enabled, unit="models", per=_PARTS)
        self._done = 0
        self._reached = 0.0

    def __enter__(self) -> Self:
        self._shown.__enter__()
        self._shown.update(0, {})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def population(self, num_models: int, total_steps: int) -> "_Part":
        """A display of one training of a population, for as long as it is entered."""
        return _Part(self, num_models, total_steps)

    def update(self, done: float, postfix: Mapping[str, float]) -> None:
        """So many models are done beside those of populations that have ended."""
        self._reached = max(self._reached, done)
        self._shown.update(int(_PARTS * (self._done + self._reached)), postfix)

    def end(self, num_models: int) -> None:
        """A population has ended."""
        self._done += num_models
        self._reached = 0.0
        self.update(0, {})


_PARTS = 1000
"""Of a model, that are counted."""


class _Part:
    def __init__(self, sweep: SweepProgress, num_models: int, total_steps: int) -> None:
        self._sweep, self._models, self._total = sweep, num_models, max(total_steps, 1)

    def __enter__(self) -> Self:
        return self

    def update(self, step: int, postfix: Mapping[str, float]) -> None:
        self._sweep.update(self._models * step / self._total, postfix)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Bar(Protocol):
    """What is redrawn in place."""

    def draw(self, done: int, text: str) -> None: ...

    def stop(self) -> None: ...


class _TerminalBar:
    def __init__(self, stream: TextIO, description: str, total: int) -> None:
        self._bar = _bar(stream)
        self._bar.add_task(description, total=total, text="")
        self._bar.start()

    def draw(self, done: int, text: str) -> None:
        self._bar.update(self._bar.task_ids[0], completed=done, text=text)
        self._bar.refresh()

    def stop(self) -> None:
        self._bar.stop()


def _bar(stream: TextIO) -> Bar:
    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6, max_width=40)),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream, force_terminal=True),
        auto_refresh=False,  # no second thread: `update` redraws
        redirect_stdout=sys.stdout.isatty(),  # a stdout that goes to a file must go on doing so
    )
