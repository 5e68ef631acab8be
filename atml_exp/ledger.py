"""Which runs there are: a run is found by the content of its config."""

from dataclasses import dataclass
from pathlib import Path

from atml_exp.errors import ConfigError
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

    Raises ConfigError where a run that has ended has lost its metrics: it is neither trained over nor shown.

    Attempt 1 lies in `runs/<run id>`, attempt k in `runs/<run id>-k`.
    """
    root = Path(output_dir) / "runs"
    attempt = 1
    while (_directory(root, run_id, attempt + 1) / "run.json").exists():
        attempt += 1
    directory = _directory(root, run_id, attempt)
    finished = (directory / "run.json").exists() and _status(directory) in FINISHED
    if finished and not force and not (directory / "metrics.parquet").exists():
        raise ConfigError(
            f"{directory}: run.json says that the run has ended, but metrics.parquet is not there; put it back, or "
            "remove the directory to train again, or force=true for a new attempt beside it"
        )
    if finished and force:
        attempt, finished = attempt + 1, False
        directory = _directory(root, run_id, attempt)
    return Entry(directory, attempt, finished)


def _status(directory: Path) -> str:
    try:
        return Run(directory).status
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{error}; remove {directory} to train the run again") from error


def _directory(root: Path, run_id: str, attempt: int) -> Path:
    return root / (run_id if attempt == 1 else f"{run_id}-{attempt}")
