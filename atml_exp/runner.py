"""Runs configs: looks them up, builds what is missing, trains it in groups, records. No science in here."""

import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from atml_exp.build import instantiate
from atml_exp.disk import disk_error, is_of_disk
from atml_exp.divergence import is_climbing, step_size
from atml_exp.environment import command, determinism, environment
from atml_exp.errors import ConfigError, DiskError, OutOfMemoryError, RunBusyError
from atml_exp.grouping import batch_sizes, group_key, is_out_of_memory, population_size
from atml_exp.integrity import LOG, READY
from atml_exp.job import Job, build_job
from atml_exp.ledger import FINISHED, Entry, look_up
from atml_exp.lock import Lock
from atml_exp.loggers.logger import Guarded, RunStart
from atml_exp.merging import merged
from atml_exp.observer import Observer, Recording
from atml_exp.optimisers.optimiser import stack
from atml_exp.population import Population, assemble, draws_randomness
from atml_exp.probe import DataChangedError
from atml_exp.progress import Display, Progress, SweepProgress
from atml_exp.quarantine import quarantine_damaged
from atml_exp.recorder import RunWriter
from atml_exp.runs import Run
from atml_exp.system import describe
from atml_exp.together import conclude_ready
from atml_exp.train import Bench

__all__ = ["RunResult", "groups_to_train", "run"]

log = logging.getLogger("atml_exp")


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


@dataclass(frozen=True)
class _Pending:
    """lock: of the run's directory, while this process holds it."""

    job: Job
    entry: Entry
    lock: Lock | None = None


@dataclass(frozen=True)
class _Terms:
    """What holds for all populations of a call. display: of the whole sweep; None: one for each population."""

    group: str | None
    keep_going: bool
    reports: bool
    display: SweepProgress | None
    retry_failed: bool
    max_replicas: int | None


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
    goes on with it. No lock is held while waiting, so that two equal sweeps can't wait for each other.

    Raises ConfigError before any training where a config doesn't fit; KeyboardInterrupt after saving what can be
    gone on with; RunBusyError where another process trains one of the runs and its config says wait=false;
    DiskError where the output folder can't be written any more; OutOfMemoryError where a single run doesn't fit.
    """
    built: dict[str, Any] = {}
    jobs = [build_job(c, built) for c in configs]
    for text in dict.fromkeys(f"dataset {j.data.name}: {text}" for j in jobs for text in j.warnings):
        log.warning("%s", text)
    pending = {j.id: _Pending(j, _entry(j)) for j in jobs}
    quarantine_damaged(p.entry for p in pending.values())
    missing = _missing(pending.values(), retry_failed)
    with ExitStack() as shown:
        display = shown.enter_context(_sweep_progress(missing)) if keep_going and len(missing) > 1 else None
        terms = _Terms(group, keep_going, reports, display, retry_failed, max_replicas)
        fresh, failures = _train_all(missing, terms)
    for job in jobs:
        if job.loggers and job.id not in fresh:
            names = ", ".join(job.config.logger)
            log.warning("run %s is there already: nothing is sent to %s; force=true trains anew", job.id, names)
    return [_result(pending[j.id], failures.get(j.id), reports, reused=j.id not in fresh) for j in jobs]


def groups_to_train(
    configs: Sequence[DictConfig], *, retry_failed: bool = True, max_replicas: int | None = None
) -> list[list[DictConfig]]:
    """What `run` would train, one list for each population; for launchers that send these to other processes."""
    built: dict[str, Any] = {}
    jobs = [build_job(c, built) for c in configs]
    pending = {j.id: _Pending(j, _entry(j)) for j in jobs}
    quarantine_damaged(p.entry for p in pending.values())
    missing = _missing(pending.values(), retry_failed)
    return [[p.job.config for p in members] for members in _groups(missing, max_replicas)]


def _missing(pending: Iterable[_Pending], retry_failed: bool) -> list[_Pending]:
    return [p for p in pending if not p.entry.finished and (retry_failed or not _has_failed(p))]


def _entry(job: Job) -> Entry:
    entry = look_up(job.resolved["output_dir"], job.id, force=job.resolved["force"])
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


def _has_failed(pending: _Pending) -> bool:
    directory = pending.entry.directory
    return (directory / "run.json").exists() and Run(directory).status == "failed"


def _train_all(missing: list[_Pending], terms: _Terms) -> tuple[set[str], dict[str, str]]:
    """Which runs were trained here, and which of them failed and why."""
    recorded: dict[str, Any] = {}
    fresh: set[str] = set()
    failures: dict[str, str] = {}
    waiting = False
    while missing:
        busy: list[_Pending] = []
        for members in _groups(missing, terms.max_replicas):
            with ExitStack() as held:
                free = _claimed(members, held, busy)
                for part in _parts(members, free, terms):
                    fresh |= {m.job.id for m in part}
                    failures |= _train(part, terms, recorded.setdefault(group_key(part[0].job), {}))
        refused = [p for p in busy if not p.job.resolved["wait"]]
        fresh |= {p.job.id for p in refused}
        failures |= _refused(refused, terms)
        missing = [p for p in busy if p not in refused]
        waiting = waiting or _say_waiting(missing)
        _wait(missing)
    return fresh, failures


def _claimed(members: Sequence[_Pending], held: ExitStack, busy: list[_Pending]) -> list[_Pending]:
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


def _parts(members: Sequence[_Pending], free: list[_Pending], terms: _Terms) -> list[list[_Pending]]:
    """What is left to train of a population, after what other processes have done since it was looked up."""
    left = [p for p in free if not conclude_ready(p.entry.directory)]
    left = [p for p in left if terms.retry_failed or not _has_failed(p)]
    steps = {RunWriter.resume_step(p.entry.directory) for p in left}
    if len(left) == len(members) and len(steps) == 1:
        return [left]
    return _groups(left, terms.max_replicas)


def _refused(busy: Sequence[_Pending], terms: _Terms) -> dict[str, str]:
    errors = {p.job.id: _busy_error(p) for p in busy}
    if errors and not terms.keep_going:
        raise next(iter(errors.values()))
    return {name: f"RunBusyError: {error}" for name, error in errors.items()}


def _busy_error(pending: _Pending) -> RunBusyError:
    return RunBusyError(
        f"{pending.entry.directory}: {_trainer(pending)} is training this run, and wait = false; wait for it, or "
        "stop it"
    )


def _trainer(pending: _Pending) -> str:
    """Who trains a run, as far as its directory says."""
    try:
        return f"process {Run(pending.entry.directory).info['process']}"
    except (OSError, ValueError, KeyError):  # the other one has only just begun
        return "another process"


def _say_waiting(busy: Sequence[_Pending]) -> bool:
    """Says, once for a call, what is waited for."""
    if not busy:
        return False
    more = f", and {len(busy) - 1} more runs by others" if len(busy) > 1 else ""
    _say(
        f"Waiting: run {busy[0].entry.directory.name} is being trained by {_trainer(busy[0])}{more}. Should it be "
        "stopped, this one goes on with it; Ctrl-C stops waiting, and with wait=false nobody waits.\n"
    )
    return True


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that was closed
        sys.stderr.write(text)


POLL = 0.1
"""Seconds between looks at whether a run is free."""


def _wait(busy: Sequence[_Pending]) -> None:
    """Until one of the runs, if there are any, isn't held by another process."""
    while busy and all(_is_taken(p.entry.directory) for p in busy):
        time.sleep(POLL)


def _is_taken(directory: Path) -> bool:
    try:
        Lock(directory).release()
    except (RunBusyError, FileNotFoundError) as error:
        return isinstance(error, RunBusyError)
    return False


def _not_writable(job: Job, error: OSError) -> Exception:
    folder = Path(job.resolved["output_dir"])
    if error.errno == errno.ENOSPC:
        return disk_error(error, folder, 0)
    return ConfigError(f"output_dir = {folder}: {error}; allowed: a folder that can be written")


def _train(members: list[_Pending], terms: _Terms, recorded: Any) -> dict[str, str]:
    """One population, in halves where the memory doesn't suffice; returns which runs failed, and why."""
    try:
        _train_group(members, terms, recorded)
        return {}
    except Exception as error:
        if len(members) > 1 and is_out_of_memory(error):
            log.info("%d models don't fit in memory together: trained in halves", len(members))
            middle = len(members) // 2
            halves = (members[:middle], members[middle:])
            first, second = (_train(half, terms, recorded) for half in halves)
            return first | second
        if is_out_of_memory(error):
            error = _too_large(members[0], error)
        if not terms.keep_going or isinstance(error, ConfigError | DataChangedError | DiskError):
            raise error  # after these no other run can be trusted to end well
        return {m.job.id: f"{type(error).__name__}: {error}" for m in members}


def _too_large(member: _Pending, error: Exception) -> OutOfMemoryError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return OutOfMemoryError(
        f"run {member.entry.directory.name}: doesn't fit in the memory of {member.job.device}: {reason}; a smaller "
        "model, batch or dataset does"
    )


def _groups(pending: Sequence[_Pending], max_replicas: int | None) -> list[list[_Pending]]:
    groups: dict[Any, list[_Pending]] = {}
    for p in pending:
        key = (group_key(p.job), RunWriter.resume_step(p.entry.directory))
        groups.setdefault(key, []).append(p)
    limit = partial(_most_together, max_replicas)
    cut = [members for group in groups.values() for members in _cut(group, limit)]
    return merged(cut, lambda p: (p.job, RunWriter.resume_step(p.entry.directory)), limit)


def _cut(group: list[_Pending], limit: Callable[[Job], int]) -> list[list[_Pending]]:
    size = limit(group[0].job) if len(group) > 1 else 1
    return [group[i : i + size] for i in range(0, len(group), size)]


def _most_together(max_replicas: int | None, job: Job) -> int:
    """A good size of a population; 1 of models that draw random numbers while they train, as dropout does."""
    return 1 if _stochastic(job) else max_replicas or population_size(job)


def _stochastic(job: Job) -> bool:
    return draws_randomness(job.model, job.data.train.x[:2], job.data.train.y[:2], job.loss_fn)


def _result(pending: _Pending, failure: str | None, reports: bool, *, reused: bool) -> RunResult:
    run = Run(pending.entry.directory)
    if failure is not None:  # perhaps before there was a directory
        return RunResult(pending.job.id, run.directory, "failed", False, {}, failure)
    if reports and run.status in FINISHED and not (run.directory / "report.html").exists():
        _safely("the report", lambda: _write_report(run.directory))
    return RunResult(pending.job.id, run.directory, run.status, reused, run.final, run.info.get("error", ""))


def _train_group(members: Sequence[_Pending], terms: _Terms, recorded: Any) -> None:
    """Trains one population and leaves a finished run directory for each member."""
    jobs = [m.job for m in members]
    first = jobs[0]
    stochastic = _stochastic(first)
    models, seeds = [j.model for j in jobs], [j.seed for j in jobs]
    population = assemble(models, seeds, stochastic=stochastic, recorded=recorded)
    with ExitStack() as open_writers:
        open_writers.enter_context(_disk_said([m.entry.directory for m in members]))
        recordings = [_record(m, terms.group, open_writers) for m in members]
        checkpoint = first.resolved["checkpoint"]
        observer = Observer(
            recordings,
            first.probes,
            first.evaluate,
            keep=checkpoint["keep"],
            interval=checkpoint["interval"],
            show=partial(_progress, first, len(members), terms.display),
        )
        bench = Bench(
            splits=[j.data.train for j in jobs],
            loss_fn=first.loss_fn,
            loss_fns=[j.loss_fn for j in jobs],
            optimiser=stack([j.optimiser for j in jobs], like=population.w),
            schedules=[j.schedules for j in jobs],
            observer=observer,
            batch_sizes=batch_sizes(jobs),
            redraw=lambda draw: [j.redrawn(draw) for j in jobs],
        )
        recipe = instantiate(first.config.recipe, tuple(first.config.trusted_packages))
        _follow(recipe, bench, population, observer, recordings)
        if terms.display is not None:
            terms.display.end(len(members))
        for job, recording in zip(jobs, recordings, strict=True):
            _prepare(job, recording, observer)
        for recording in recordings:
            recording.writer.conclude()
        for recording in recordings:
            _show(recording, terms.reports)


def _follow(
    recipe: Callable[..., Population],
    bench: Bench,
    population: Population,
    observer: Observer,
    recordings: Sequence[Recording],
) -> None:
    """The recipe, with what was reached kept where it is cut short."""
    try:
        with observer:
            recipe(bench, population)
    except KeyboardInterrupt:
        observer.checkpoint()
        for r in recordings:
            r.writer.interrupt()
        step = observer.latest_step
        _say(
            f"\nInterrupted at step {step} of {observer.total}. The same command goes on from there:\n"
            + "".join(f"  {r.writer.directory}\n" for r in recordings)
        )
        raise
    except Exception as error:
        for r in recordings:
            if is_of_disk(error, r.writer.directory):  # cut off, to be gone on with once there is room
                with suppress(OSError):
                    r.writer.interrupt()
            else:
                r.writer.interrupt(status="failed", error=f"{type(error).__name__}: {error}")
            for logger in r.loggers:
                logger.finish("failed")
        raise


@contextmanager
def _disk_said(directories: Sequence[Path]) -> Iterator[None]:
    """Within it, an error that says that a directory can't be written is a DiskError with all that a user needs."""
    try:
        yield
    except OSError as error:
        for directory in directories:
            if is_of_disk(error, directory):
                raise disk_error(error, directory.parent, _resume_step(directory)) from error
        raise


def _resume_step(directory: Path) -> int:
    try:
        return RunWriter.resume_step(directory)
    except Exception:  # it can't be read now; there are worse troubles
        return 0


def _record(member: _Pending, group: str | None, open_writers: ExitStack) -> Recording:
    """A writer that holds the run's directory until the stack is left, and loggers that have been started."""
    job, entry = member.job, member.entry
    info = _info(job, entry)
    info |= _sittings(entry.directory, info)
    writer = RunWriter(entry.directory, info, OmegaConf.to_yaml(job.config, resolve=True), lock=member.lock)
    open_writers.callback(writer.close)
    loggers = [Guarded(logger) for logger in job.loggers]
    start = RunStart(
        run_id=entry.directory.name,
        directory=entry.directory,
        config=dict(job.resolved),
        group=group,
        system=info["system"],
    )
    for logger in loggers:
        logger.start(start)
    notes = writer.resumed.notes if writer.resumed else {}
    known: dict[str, Any] = {k: notes[k] for k in ("diverged_at", "failures") if k in notes}
    return Recording(job.data, writer, loggers, **known)


def _info(job: Job, entry: Entry) -> dict[str, Any]:
    """What run.json says beside the status."""
    return {
        "run_id": job.id,
        "attempt": entry.attempt,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": job.seed,
        "device": str(job.device),
        "process": os.getpid(),
        "command": command(),
        **environment(),
        "determinism": determinism(job.device.type),
        "warnings": list(job.warnings),
        "system": describe(job),
        "num_classes": job.data.num_classes,
        "config": dict(job.resolved),
    }


def _sittings(directory: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Where a run goes on with another torch, number of threads or device than before: those of each sitting."""
    step = _resume_step(directory)
    if step == 0:
        return {}
    before = Run(directory).info
    past = before.get("sittings") or [_sitting(before)]
    if all(sitting == _sitting(info) for sitting in past):
        return {}
    log.warning(
        "run %s goes on from step %d with %s, and began with %s: the last digits may differ from one sitting's",
        directory.name,
        step,
        *(", ".join(f"{k} {v}" for k, v in sitting.items()) for sitting in (_sitting(info), past[0])),
    )
    return {"sittings": [*past, _sitting(info)]}


def _sitting(info: Mapping[str, Any]) -> dict[str, Any]:
    versions, machine = info.get("versions") or {}, info.get("machine") or {}
    return {"torch": versions.get("torch"), "threads": machine.get("threads"), "device": info.get("device")}


def _sweep_progress(pending: Sequence[_Pending]) -> SweepProgress:
    return SweepProgress(len(pending), "sweep", enabled=pending[0].job.resolved["progress"])


def _progress(job: Job, size: int, display: SweepProgress | None, total: int) -> Display:
    if display is not None:
        return display.population(size, total)
    dataset, model = (str(job.resolved[k]["_target_"]).rpartition(".")[2] for k in ("dataset", "model"))
    description = f"{dataset} · {model}" + (f" × {size}" if size > 1 else "")
    return Progress(total, description, enabled=job.resolved["progress"])


def _prepare(job: Job, recording: Recording, observer: Observer) -> None:
    """Puts the directory in its final form, which counts once those of the whole population are."""
    diverged_at, why = _divergence(job, recording, observer)
    status = "complete" if diverged_at is None else "diverged"
    recording.writer.prepare(
        status,
        together=observer.together,
        steps=observer.total,
        steps_per_epoch=recording.steps_per_epoch,
        diverged_at=diverged_at,
        probe_failures=recording.failures,
        **({"error": why} if why else {}),
    )


def _show(recording: Recording, reports: bool) -> None:
    """A report of a run that has ended, and its pictures to the loggers."""
    directory = recording.writer.directory
    if reports:
        _safely("the report", lambda: _write_report(directory))
    if recording.loggers:
        _safely("the pictures", lambda: _send_pictures(recording))
    for logger in recording.loggers:
        logger.finish(recording.writer.info["status"])


def _divergence(job: Job, recording: Recording, observer: Observer) -> tuple[int | None, str]:
    """The step at which a run was found to have diverged, and its step size beside the limit where there is one."""
    at = recording.diverged_at
    try:
        if at is None and is_climbing(job, recording.writer.values("train/loss")):
            at = observer.total
        limit = None if at is None else step_size(job)
    except Exception as error:  # what was measured stands, whether theory has a word for it or not
        log.info("the largest stable step size could not be had: %s: %s", type(error).__name__, error)
        limit = None
    return at, "" if limit is None else str(limit)


def _write_report(directory: Path) -> None:
    from atml_exp.report import write_report  # with matplotlib, a second that a sweep without reports needn't wait

    write_report(directory)


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
