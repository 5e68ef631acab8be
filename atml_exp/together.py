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

from safetensors import safe_open

from atml_exp.files import write_json
from atml_exp.ledger import FINISHED

__all__ = [
    "FORMER",
    "READY",
    "RESUME",
    "clean_up",
    "conclude_ready",
    "keep_former",
    "resume_file",
    "settle",
    "step_of",
]

RESUME, FORMER = "resume.safetensors", "resume_former.safetensors"
"""In checkpoints/: what a run goes on from, and the one before it until the others have theirs."""
READY = "ready.json"
"""In a run directory: the run.json to be, until the others have theirs."""


def keep_former(directory: Path) -> None:
    """Before a new checkpoint is written. A former one that is there still is the last that all have."""
    resume, former = (directory / "checkpoints" / name for name in (RESUME, FORMER))
    if resume.exists() and not former.exists():
        os.replace(resume, former)


def resume_file(directory: Path) -> Path | None:
    """The checkpoint that a run goes on from: the latest that all runs of its population have; None without one."""
    resume, former = (directory / "checkpoints" / name for name in (RESUME, FORMER))
    if not former.exists():
        return resume if resume.exists() else None
    if not resume.exists():
        return former
    steps = step_of(resume), step_of(former)
    others = [directory.parent / name for name in _notes(resume).get("together", ())]
    return former if any(_lags_behind(other, *steps) for other in others) else resume


def _lags_behind(directory: Path, step: int, former_step: int) -> bool:
    """Whether a run has only the former checkpoint. One that is gone, has ended or went on by itself hasn't."""
    files = [directory / "checkpoints" / name for name in (RESUME, FORMER)]
    steps = {step_of(path) for path in files if path.exists()}
    return former_step in steps and step not in steps


def settle(directory: Path) -> Path | None:
    """The checkpoint that a run goes on from, now alone and under its own name; None without one."""
    path, (resume, former) = resume_file(directory), (directory / "checkpoints" / n for n in (RESUME, FORMER))
    if path == former:
        os.replace(former, resume)
    former.unlink(missing_ok=True)
    return None if path is None else resume


def step_of(path: Path) -> int:
    """Of a checkpoint, of which nothing else is read."""
    with safe_open(path, framework="np") as file:
        return int(file.metadata()["step"])


def _notes(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="np") as file:
        return dict(json.loads(file.metadata().get("notes", "{}")))


def conclude_ready(directory: Path) -> bool:
    """Whether a run that was cut off while its population ended has ended now; and what served a resume is gone.

    Its results count where those of all others are ready too; else they are forgotten, and come out again. The
    caller holds the directory's lock.
    """
    ready = directory / READY
    if ready.exists():
        said = json.loads(ready.read_text(encoding="utf-8"))
        if all(_is_ready(directory.parent / name) for name in said["together"]):
            write_json(directory / "run.json", said["info"])
        else:
            ready.unlink()
    if _status(directory) not in FINISHED:
        return False
    clean_up(directory)
    return True


def _is_ready(directory: Path) -> bool:
    return (directory / READY).exists() or _status(directory) in FINISHED


def _status(directory: Path) -> str:
    path = directory / "run.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["status"]) if path.exists() else ""


def clean_up(directory: Path) -> None:
    """Removes what served only a resume; the log of metrics last: where it is left, this was cut off."""
    shutil.rmtree(directory / "arrays" / "chunks", ignore_errors=True)
    checkpoints = directory / "checkpoints"
    served: Sequence[Path] = [checkpoints / RESUME, checkpoints / FORMER, *checkpoints.glob("stage_*.safetensors")]
    for path in [*served, directory / READY, directory / "metrics.jsonl"]:
        path.unlink(missing_ok=True)
