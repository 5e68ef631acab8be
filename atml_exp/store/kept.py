"""Checkpoints that a config asks for and that a run, which is there already, was not asked to keep."""

import logging
from collections.abc import Iterable

from atml_exp.runs import Run
from atml_exp.schedule import due
from atml_exp.store.integrity import FINISHED

__all__ = ["lacking", "warn_of_lacking"]

log = logging.getLogger("atml_exp")


def warn_of_lacking(asked: Iterable[tuple[Run, str]]) -> None:
    """Says in one line which of the runs that are reused lack checkpoints. asked: with their `checkpoint.keep`."""
    found = [(run, keep) for run, keep in asked if lacking(run, keep)]
    if not found:
        return
    run, keep = found[0]
    there = ", ".join(map(str, sorted(_steps(run)))) or "none"
    more = f", and so do {len(found) - 1} more" if len(found) > 1 else ""
    log.warning(
        "run %s is there already, and lacks checkpoints that checkpoint.keep=%s asks for%s: reused with those that "
        "there are (of steps: %s); force=true trains anew",
        run.directory.name,
        keep,
        more,
        there,
    )


def lacking(run: Run, keep: str) -> set[int]:
    """The steps of which a run that has ended has no checkpoint, and would have with this `checkpoint.keep`.

    Of a run that diverged none is kept from there on. Of a recipe with several trainings the steps are counted
    through, as in the run's records.
    """
    info = run.info
    if keep == "never" or info["status"] not in FINISHED or "steps" not in info:
        return set()
    if info["config"].get("checkpoint", {}).get("keep") == keep:
        return set()
    total, diverged_at = int(info["steps"]), info.get("diverged_at")
    is_due = due(keep, total, int(info.get("steps_per_epoch", 1)))
    end = total + 1 if diverged_at is None else int(diverged_at)
    return {step for step in range(end) if is_due(step)} - _steps(run)


def _steps(run: Run) -> set[int]:
    """Of which there are checkpoints."""
    return {int(path.stem.removeprefix("step_")) for path in run.checkpoints if path.stem.startswith("step_")}
