"""What comes after a run's numbers are safe: its report, and its pictures to the loggers."""

import logging
from collections.abc import Callable
from pathlib import Path

from atml_exp.observer import Recording
from atml_exp.runs import Run

__all__ = ["draw_report", "show"]

log = logging.getLogger("atml_exp")


def show(recording: Recording, reports: bool) -> None:
    """A report of a run that has ended, and its pictures to the loggers."""
    directory = recording.writer.directory
    if reports:
        draw_report(directory)
    if recording.loggers:
        _safely("the pictures", lambda: _send_pictures(recording))
    for logger in recording.loggers:
        logger.finish(recording.writer.info["status"])


def draw_report(directory: Path) -> None:
    """Writes the report of a run that has ended; a warning where it can't be made."""

    def draw() -> None:
        from atml_exp.report import write_report  # with matplotlib, a second that a sweep needn't wait

        write_report(directory)

    _safely("the report", draw)


def _send_pictures(recording: Recording) -> None:
    from atml_exp.figures.style import png
    from atml_exp.report import pictures_of

    for name, figure in pictures_of(Run(recording.writer.directory)).items():
        for logger in recording.loggers:
            logger.figure(name, png(figure))


def _safely(what: str, action: Callable[[], object]) -> None:
    """What comes after the numbers are safe must not turn a finished run into a failed one."""
    try:
        action()
    except Exception as error:
        log.warning("%s could not be made: %s: %s", what, type(error).__name__, error)
