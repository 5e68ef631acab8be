"""What a logger is: a second place, beside the local record, that a run's numbers and pictures go to."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Guarded", "Logger", "RunStart"]

_log = logging.getLogger("atml_exp")


@dataclass(frozen=True)
class RunStart:
    """What a logger is told when a run starts, or goes on after an interruption.

    run_id: the run's name; the same for each attempt at the same configuration.
    directory: the run's directory; a logger writes nowhere else.
    config: the resolved configuration, plain dictionaries and lists.
    group: the sweep that the run belongs to, if any.
    system: the description of the machine-learning system (domain, hypothesis class, loss, algorithm, …).
    """

    run_id: str
    directory: Path
    config: dict[str, Any]
    group: str | None = None
    system: dict[str, Any] = field(default_factory=dict)


class Logger(Protocol):
    """One object per run. Any method may raise: the run wraps each logger in `Guarded`."""

    def start(self, run: RunStart) -> None:
        """Called once, before the first step."""

    def log(self, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        """The metrics measured at a step; a step may come in several calls, and steps never decrease."""

    def figure(self, name: str, png: bytes) -> None:
        """A picture of the run, such as `sharpness`, as the content of a PNG file."""

    def finish(self, status: str) -> None:
        """Called once, last: `complete`, `diverged`, `failed` or `interrupted`."""


class Guarded:
    """A logger that never stops the training.

    The first exception (or `SystemExit`, which libraries raise too) becomes one warning; from then on the
    logger hears nothing more of this run but `finish`, so that it can close its files. Ctrl-C passes.

    >>> class Broken:
    ...     def start(self, run): raise OSError("disk full")
    ...     def finish(self, status): print("closed:", status)
    >>> guarded = Guarded(Broken())
    >>> guarded.start(RunStart("a1", Path("."), {}))  # warns
    >>> guarded.log(0, 0.0, {"train/loss": 1.0})
    >>> guarded.finish("complete")
    closed: complete
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._on = True

    def start(self, run: RunStart) -> None:
        self._call("start", run)

    def log(self, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        self._call("log", step, epoch, metrics)

    def figure(self, name: str, png: bytes) -> None:
        self._call("figure", name, png)

    def finish(self, status: str) -> None:
        if self._on:
            self._call("finish", status)
        else:
            with suppress(Exception, SystemExit):
                self._logger.finish(status)

    def _call(self, method: str, *args: object) -> None:
        if not self._on:
            return
        try:
            getattr(self._logger, method)(*args)
        except (Exception, SystemExit) as error:
            self._on = False
            self._warn(method, error)

    def _warn(self, method: str, error: BaseException) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        _log.warning(
            "%s is switched off for the rest of this run: its %s() raised %s. "
            "Training goes on, and the run directory has everything.",
            type(self._logger).__name__,
            method,
            reason,
        )
        _log.debug("where it happened", exc_info=error)
