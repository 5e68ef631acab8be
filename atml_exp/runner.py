"""Runs configs: looks them up, builds what is missing, trains it in groups, records. No science in here."""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from atml_exp.aftermath import draw_report
from atml_exp.constant_prediction import no_better, warn_of_no_better
from atml_exp.data_guard import DataChangedError
from atml_exp.errors import ConfigError, DiskError, OutOfMemoryError, RunBusyError, TakenAwayError
from atml_exp.grouping import group_key, population_size
from atml_exp.job import Job, build_job
from atml_exp.memory import is_out_of_memory
from atml_exp.merging import merged
from atml_exp.one_at_a_time import one_at_a_time
from atml_exp.open_files import is_too_many_open, open_files_said, room_for, too_many_open
from atml_exp.progress import SweepProgress
from atml_exp.recorder import RunWriter
from atml_exp.runs import Run
from atml_exp.sitting import Pending, Terms, is_stochastic, train_group
from atml_exp.store.disk import disk_error
from atml_exp.store.integrity import LOG, READY
from atml_exp.store.kept import warn_of_lacking
from atml_exp.store.ledger import FINISHED, Entry, Later, later_attempts, look_up
from atml_exp.store.lock import Lock
from atml_exp.store.quarantine import quarantine_damaged
from atml_exp.store.sources import warn_of_changed
from atml_exp.store.together import conclude_ready
from atml_exp.waiting import refused, say_waiting, wait

__all__ = ["RunResult", "groups_to_train", "run"]

log = logging.getLogger("atml_exp")

OPEN, OPEN_BY_LOGGER = 2, 4
"""Files that a run keeps open while it trains: its directory, for the lock, and its log; each logger's, at most."""


@dataclass(frozen=True)
class RunResult:
    """directory: of the run. status: complete, diverged or failed, with the error. reused: it was there.

    final: the last value of each metric.
    """

    id: str
    directory: Path
    status: str
    reused: bool
    final: Mapping[str, float]
    error: str = ""


@one_at_a_time
@open_files_said()
def run(
    configs: Sequence[DictConfig],
    *,
    group: str | None = None,
    keep_going: bool = False,
    retry_failed: bool = True,
    max_replicas: int | None = None,
    reports: bool = True,
) -> list[RunResult]:
    """Trains what the ledger lacks and returns a result for each config, in order.

    All jobs are built before any is trained. Those that differ only in what can be stacked train as one population.
    A job that appears twice is trained once. group: the sweep's name, for loggers. keep_going: a population that
    fails is noted, and the next is trained. retry_failed: train again what failed before. max_replicas: models in
    one population; None: chosen from their size. reports: draw each run's; one that is missing is drawn when the
    run is asked for alone.

    A run that another process is training is waited for, after all others; where that process is stopped, this one
    goes on with it. No run's lock is held while waiting, so that two equal sweeps can't wait for each other. Calls
    from several threads of this process take turns.

    Raises ConfigError before any training where a config doesn't fit; KeyboardInterrupt after saving what can be
    gone on with; RunBusyError where another process trains one of the runs and its config says wait=false;
    DiskError where the output folder can't be written any more; OutOfMemoryError where a single run doesn't fit;
    OpenFilesError where it needs more open files than there may be; TakenAwayError where a run's directory is
    removed or renamed meanwhile.
    """
    built: dict[str, Any] = {}
    jobs = [build_job(c, built) for c in configs]
    for text in dict.fromkeys(f"dataset {j.data.name}: {text}" for j in jobs for text in j.warnings):
        log.warning("%s", text)
    pending = _looked_up(jobs)
    quarantine_damaged(p.entry for p in pending.values())
    warn_of_changed((Run(p.entry.directory), p.job.resolved) for p in pending.values() if _is_there(p))
    missing = _missing(pending.values(), retry_failed)
    with ExitStack() as shown:
        display = shown.enter_context(_sweep_progress(missing)) if keep_going and len(missing) > 1 else None
        terms = Terms(group, keep_going, reports, display, retry_failed, max_replicas)
        fresh, failures = _train_all(missing, terms)
    failures |= _taken_since((p for p in pending.values() if p.job.id not in failures), terms)
    for job in jobs:
        if job.loggers and job.id not in fresh:
            names = ", ".join(job.config.logger)
            log.warning("run %s is there already: nothing is sent to %s; force=true trains anew", job.id, names)
    _warn_of_lacking(p for p in pending.values() if p.job.id not in fresh | failures.keys())
    warn_of_no_better(_no_better(p) for p in pending.values() if p.job.id in fresh - failures.keys())
    return [_result(pending[j.id], failures.get(j.id), reports, reused=j.id not in fresh) for j in jobs]


@one_at_a_time
@open_files_said()
def groups_to_train(
    configs: Sequence[DictConfig], *, retry_failed: bool = True, max_replicas: int | None = None
) -> list[list[DictConfig]]:
    """What `run` would train, one list for each population; for launchers that send these to other processes."""
    built: dict[str, Any] = {}
    jobs = [build_job(c, built) for c in configs]
    pending = _looked_up(jobs)
    quarantine_damaged(p.entry for p in pending.values())
    missing = _missing(pending.values(), retry_failed)
    _warn_of_lacking(p for p in pending.values() if p.entry.finished)
    return [[p.job.config for p in members] for members in _groups(missing, max_replicas)]


def _no_better(ended: Pending) -> str:
    run = Run(ended.entry.directory)
    trained = run.status == "complete" and run.info.get("steps", 0) > 0
    return no_better(ended.job.data.train.y, run.final) if trained else ""


def _warn_of_lacking(reused: Iterable[Pending]) -> None:
    warn_of_lacking((Run(p.entry.directory), p.job.resolved["checkpoint"]["keep"]) for p in reused)


def _missing(pending: Iterable[Pending], retry_failed: bool) -> list[Pending]:
    return [p for p in pending if not p.entry.finished and (retry_failed or not _has_failed(p))]


def _looked_up(jobs: Sequence[Job]) -> dict[str, Pending]:
    """Each job with what the ledger has of it, by its run's id."""
    listed = cache(later_attempts)
    return {j.id: Pending(j, _entry(j, listed)) for j in jobs}


def _entry(job: Job, listed: Callable[[str], Later]) -> Entry:
    folder = job.resolved["output_dir"]
    entry = look_up(folder, job.id, force=job.resolved["force"], later=listed(folder))
    if entry.damage or not any((entry.directory / name).exists() for name in (READY, LOG)):
        return entry
    try:
        lock = Lock(entry.directory)
    except RunBusyError:
        return entry
    try:
        return replace(entry, finished=conclude_ready(entry.directory))
    finally:
        lock.release()


def _has_failed(pending: Pending) -> bool:
    return _is_there(pending) and Run(pending.entry.directory).status == "failed"


def _is_there(pending: Pending) -> bool:
    return (pending.entry.directory / "run.json").exists()


def _train_all(missing: list[Pending], terms: Terms) -> tuple[set[str], dict[str, str]]:
    """Which runs were trained here, and which of them failed and why."""
    recorded: dict[str, Any] = {}
    fresh: set[str] = set()
    failures: dict[str, str] = {}
    waiting = False
    while missing:
        busy: list[Pending] = []
        for members in _openable(_groups(missing, terms.max_replicas)):
            with ExitStack() as held:
                free = _claimed(members, held, busy)
                for part in _parts(members, free, terms):
                    fresh |= {m.job.id for m in part}
                    failures |= _train(part, terms, recorded.setdefault(group_key(part[0].job), {}))
        turned_away = [p for p in busy if not p.job.resolved["wait"]]
        fresh |= {p.job.id for p in turned_away}
        failures |= refused(turned_away, terms)
        missing = [p for p in busy if p not in turned_away]
        waiting = waiting or say_waiting(missing)
        wait(missing)
    return fresh, failures


def _openable(groups: Iterable[list[Pending]]) -> Iterator[list[Pending]]:
    """The groups, each in parts where `ulimit -n` doesn't allow as many open files as it keeps."""
    for members in groups:
        size = room_for(len(members), OPEN + OPEN_BY_LOGGER * len(members[0].job.loggers))
        if size < len(members):
            log.info("the limit of open files (ulimit -n) lets %d of %d models train together", size, len(members))
        yield from (members[i : i + size] for i in range(0, len(members), size))


def _claimed(members: Sequence[Pending], held: ExitStack, busy: list[Pending]) -> list[Pending]:
    """Those that nobody else trains, with locks that are held until the stack is left; the others go to `busy`."""
    free = []
    for member in members:
        directory = member.entry.directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = Lock(directory)
        except RunBusyError:
            busy.append(member)
            continue
        except OSError as error:
            raise _not_writable(member.job, error) from error
        held.callback(lock.release)
        free.append(replace(member, lock=lock))
    return free


def _parts(members: Sequence[Pending], free: list[Pending], terms: Terms) -> list[list[Pending]]:
    """What is left to train of a population, after what other processes have done since it was looked up."""
    left = [p for p in free if not conclude_ready(p.entry.directory)]
    left = [p for p in left if terms.retry_failed or not _has_failed(p)]
    steps = {RunWriter.resume_step(p.entry.directory) for p in left}
    if len(left) == len(members) and len(steps) == 1:
        return [left]
    return _groups(left, terms.max_replicas)


def _not_writable(job: Job, error: OSError) -> Exception:
    folder = Path(job.resolved["output_dir"])
    if is_too_many_open(error):
        return too_many_open(error)
    if error.errno == errno.ENOSPC:
        return disk_error(error, folder, 0)
    return ConfigError(f"output_dir = {folder}: {error}; allowed: a folder that can be written")


def _train(members: list[Pending], terms: Terms, recorded: Any) -> dict[str, str]:
    """One population, in halves where memory or open files don't suffice; returns which runs failed, and why."""
    try:
        train_group(members, terms, recorded)
        return {}
    except Exception as error:
        if len(members) > 1 and (lacking := _lacking(error)):
            log.info("%d models together take more %s than there may be: trained in halves", len(members), lacking)
            middle = len(members) // 2
            halves = (members[:middle], members[middle:])
            first, second = (_train(half, terms, recorded) for half in halves)
            return first | second
        if isinstance(error, TakenAwayError) and terms.keep_going:
            return _train_others(members, error, terms, recorded)
        if is_out_of_memory(error):
            error = _too_large(members[0], error)
        if not terms.keep_going or _stops_all(error):
            raise error
        return {m.job.id: f"{type(error).__name__}: {error}" for m in members}


def _train_others(members: list[Pending], error: TakenAwayError, terms: Terms, recorded: Any) -> dict[str, str]:
    """A population from its last checkpoint on, without the runs whose directories have been taken away."""
    left = [m for m in members if m.entry.directory != error.directory and (m.lock is None or m.lock.is_in_place())]
    there = {m.job.id for m in left}
    failures = {m.job.id: _taken_away(m) for m in members if m.job.id not in there}
    for part in _parts(members, left, terms):
        failures |= _train(part, terms, recorded)
    return failures


def _taken_away(member: Pending) -> str:
    return f"TakenAwayError: {TakenAwayError.of(member.entry.directory)}"


def _taken_since(ended: Iterable[Pending], terms: Terms) -> dict[str, str]:
    """Of the runs that have ended, those whose directories were taken away while others were trained."""
    gone = [p for p in ended if not (p.entry.directory / "run.json").exists()]
    if gone and not terms.keep_going:
        raise TakenAwayError.of(gone[0].entry.directory)
    return {p.job.id: _taken_away(p) for p in gone}


def _lacking(error: Exception) -> str:
    """What there was too little of for so many models; empty of any other error."""
    if is_out_of_memory(error):
        return "memory"
    return "open files" if is_too_many_open(error) else ""


def _stops_all(error: Exception) -> bool:
    """Whether after this no other run can be trusted to end well."""
    return isinstance(error, ConfigError | DataChangedError | DiskError) or is_too_many_open(error)


def _too_large(member: Pending, error: Exception) -> OutOfMemoryError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return OutOfMemoryError(
        f"run {member.entry.directory.name}: doesn't fit in the memory of {member.job.device}: {reason}; a smaller "
        "model, batch or dataset does"
    )


def _groups(pending: Sequence[Pending], max_replicas: int | None) -> list[list[Pending]]:
    groups: dict[Any, list[Pending]] = {}
    for p in pending:
        key = (group_key(p.job), RunWriter.resume_step(p.entry.directory))
        groups.setdefault(key, []).append(p)
    limit = partial(_most_together, max_replicas)
    cut = [members for group in groups.values() for members in _cut(group, limit)]
    return merged(cut, lambda p: (p.job, RunWriter.resume_step(p.entry.directory)), limit)


def _cut(group: list[Pending], limit: Callable[[Job], int]) -> list[list[Pending]]:
    size = limit(group[0].job) if len(group) > 1 else 1
    return [group[i : i + size] for i in range(0, len(group), size)]


def _most_together(max_replicas: int | None, job: Job) -> int:
    """A good size of a population; 1 of models that draw random numbers while they train, as dropout does."""
    return 1 if is_stochastic(job) else max_replicas or population_size(job)


def _result(pending: Pending, failure: str | None, reports: bool, *, reused: bool) -> RunResult:
    run = Run(pending.entry.directory)
    if failure is not None:  # perhaps before there was a directory
        return RunResult(pending.job.id, run.directory, "failed", False, {}, failure)
    if reports and run.status in FINISHED and not (run.directory / "report.html").exists():
        draw_report(run.directory)
    return RunResult(pending.job.id, run.directory, run.status, reused, run.final, run.info.get("error", ""))


def _sweep_progress(pending: Sequence[Pending]) -> SweepProgress:
    return SweepProgress(len(pending), "sweep", enabled=pending[0].job.resolved["progress"])
