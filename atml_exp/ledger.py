"""Which runs there are: a run is found by the content of its config."""

from dataclasses import dataclass
from pathlib import Path

from atml_exp.runs import Run

__all__ = ["Entry", "look_up"]

FINISHED = ("complete", "diverged")


@dataclass(frozen=True)
class Entry:
    """Where a run is or will be. finished: there is nothing left to train."""

    directory: Path
    attempt: int
    finished: bool


def look_up(output_dir: str | Path, run_id: str, *, force: bool = False) -> Entry:
    """The latest attempt at a run; with `force`, where the latest has ended, a new attempt beside it.

    Attempt 1 lies in `runs/<run id>`, attempt k in `runs/<run id>-k`.
    """
    root = Path(output_dir) / "runs"
    attempt = 1
    while (_directory(root, run_id, attempt + 1) / "run.json").exists():
        attempt += 1
    directory = _directory(root, run_id, attempt)
    finished = (directory / "run.json").exists() and Run(directory).status in FINISHED
    if finished and force:
        attempt, finished = attempt + 1, False
        directory = _directory(root, run_id, attempt)
    return Entry(directory, attempt, finished)


def _directory(root: Path, run_id: str, attempt: int) -> Path:
    return root / (run_id if attempt == 1 else f"{run_id}-{attempt}")
