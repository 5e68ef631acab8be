"""What the runs of one population owe each other on disk: all go on from the same step, all end or none does.

A population's numbers are those of its runs alone up to rounding, and the last bits may depend on who is trained
with whom. So that a sweep that was killed ends in the same bytes, its populations stay together: a checkpoint
counts once every run of the population has it, and so do the results. Both are written to each directory first,
beside what was there, and whoever finds them half done looks into the directories of the others.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atml_exp.errors import DamagedRunError
from atml_exp.signals import deferred
from atml_exp.store.integrity import (
    FINISHED,
    FORMER,
    LOG,
    READY,
    RESUME,
    read_info,
    read_ready,
    reading,
    write_sealed,
)
from atml_exp.store.seals import tensors_metadata

__all__ = ["clean_up", "conclude_ready", "keep_former", "resume_file", "settle", "step_of"]


def keep_former(directory: Path) -> bool:
    """Before a new checkpoint is written, where all have the last one: it stays. Whether there is one."""
    resume, former = (directory / "checkpoints" / name for name in (RESUME, FORMER))
    if resume.exists():
        os.replace(resume, former)
    return former.exists()


def resume_file(directory: Path) -> Path | None:
    """The checkpoint that a run goes on from: the latest that all runs of its population have; None without one."""
    resume, former = (directory / "checkpoints" / name for name in (RESUME, FORMER))
    before = former if former.exists() else None
    if not resume.exists():
        return before
    notes = _notes(resume)
    if before is None and not notes.get("first"):
        return resume
    steps = step_of(resume), 0 if before is None else step_of(before)
    others = [directory.parent / name for name in notes.get("together", ())]
    return before if any(_lags_behind(other, *steps) for other in others) else resume


def _lags_behind(directory: Path, step: int, former_step: int) -> bool:
    """Whether a run has only the former checkpoint (0: there was none). One that is gone or damaged, has ended or
    went on by itself hasn't.
    """
    if former_step == 0 and not any((directory / "checkpoints").glob("resume*")):
        return _status(directory) == "running"
    files = [directory / "checkpoints" / name for name in (RESUME, FORMER)]
    try:
        steps = {step_of(path) for path in files if path.exists()}
    except DamagedRunError:  # nobody goes on with it
        return False
    return former_step in steps and step not in steps


def settle(directory: Path) -> Path | None:
    """The checkpoint that a run goes on from, now alone and under its own name; None without one."""
    path, (resume, former) = resume_file(directory), (directory / "checkpoints" / n for n in (RESUME, FORMER))
    if path == former:
        os.replace(former, resume)
    for rest in (former, *([resume] if path is None else [])):
        rest.unlink(missing_ok=True)
    return None if path is None else resume


def step_of(path: Path) -> int:
    """Of a checkpoint, of which nothing else is read."""
    with reading(path):
        return int(tensors_metadata(path)["step"])


def _notes(path: Path) -> dict[str, Any]:
    with reading(path):
        return dict(json.loads(tensors_metadata(path).get("notes", "{}")))


def conclude_ready(directory: Path) -> bool:
    """Whether a run that was cut off while its population ended has ended now; and what served a resume is gone.

    Its results count where those of all others are ready too; else they are forgotten, and come out again. The
    caller holds the directory's lock.
    """
    if said := read_ready(directory):
        if all(_is_ready(directory.parent / name) for name in said["together"]):
            write_sealed(directory / "run.json", said["info"])
        else:
            (directory / READY).unlink()
    if _status(directory) not in FINISHED:
        return False
    for leftover in directory.rglob(".*.partial"):
        leftover.unlink()
    clean_up(directory)
    return True


def _is_ready(directory: Path) -> bool:
    return (directory / READY).exists() or _status(directory) in FINISHED


def _status(directory: Path) -> str:
    try:
        return str(read_info(directory).get("status"))
    except (FileNotFoundError, DamagedRunError):
        return ""


@deferred()
def clean_up(directory: Path) -> None:
    """Removes what served only a resume; the log of metrics last: where it is left, this was cut off."""
    shutil.rmtree(directory / "arrays" / "chunks", ignore_errors=True)
    checkpoints = directory / "checkpoints"
    served: Sequence[Path] = [checkpoints / RESUME, checkpoints / FORMER, *checkpoints.glob("stage_*.safetensors")]
    for path in [*served, directory / READY, directory / LOG]:
        path.unlink(missing_ok=True)
