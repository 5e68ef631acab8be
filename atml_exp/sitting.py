"""Trains one population, from where its runs were cut off, and writes their directories."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch.utils._python_dispatch import _disable_current_modes

from atml_exp.aftermath import show
from atml_exp.build import instantiate
from atml_exp.divergence import is_climbing, step_size
from atml_exp.errors import TakenAwayError
from atml_exp.grouping import batch_sizes
from atml_exp.job import Job
from atml_exp.loggers.logger import Guarded, RunStart
from atml_exp.observer import Observer, Recording
from atml_exp.open_files import is_too_many_open
from atml_exp.optimisers.optimiser import stack
from atml_exp.population import Population, assemble, draws_randomness
from atml_exp.progress import Display, Progress, SweepProgress
from atml_exp.recorder import RunWriter
from atml_exp.runs import Run
from atml_exp.store.disk import disk_error, is_of_disk
from atml_exp.store.environment import command, determinism, environment
from atml_exp.store.ledger import Entry
from atml_exp.store.lock import Lock
from atml_exp.store.sources import sources
from atml_exp.system import describe
from atml_exp.terminal import say
from atml_exp.train import Bench

__all__ = ["Pending", "Terms", "is_stochastic", "train_group"]

log = logging.getLogger("atml_exp")


@dataclass(frozen=True)
class Pending:
    """lock: of the run's directory, while this process holds it."""

    job: Job
    entry: Entry
    lock: Lock | None = None


@dataclass(frozen=True)
class Terms:
    """What holds for all populations of a call. display: of the whole sweep; None: one for each population."""

    group: str | None
    keep_going: bool
    reports: bool
    display: SweepProgress | None
    retry_failed: bool
    max_replicas: int | None


def train_group(members: Sequence[Pending], terms: Terms, recorded: Any) -> None:
    """Trains one population and leaves a finished run directory for each member."""
    jobs = [m.job for m in members]
    first = jobs[0]
    stochastic = is_stochastic(first)
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
            show(recording, terms.reports)


def is_stochastic(job: Job) -> bool:
    x, y = (tensor[:2].clone() for tensor in (job.data.train.x, job.data.train.y))  # which a model may write into
    return draws_randomness(job.model, x, y, job.loss_fn)


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
        _leave(observer, recordings)
        raise
    except Exception as error:
        for r in recordings:
            if _cuts_off(error, r.writer.directory):  # to be gone on with
                with suppress(OSError, TakenAwayError):
                    r.writer.interrupt()
            else:
                r.writer.interrupt(status="failed", error=f"{type(error).__name__}: {error}")
            for logger in r.loggers:
                logger.finish("failed")
        raise


def _leave(observer: Observer, recordings: Sequence[Recording]) -> None:
    """Keeps what was reached, and says from where it is gone on with."""
    try:
        with _disable_current_modes():  # Ctrl-C may have come while the step was traced
            observer.checkpoint()
        for r in recordings:
            r.writer.interrupt()
    except TakenAwayError as error:  # what was to be stopped is stopped all the same
        say(f"\nInterrupted. {error}\n")
        return
    step = observer.latest_step
    say(
        f"\nInterrupted at step {step} of {observer.total}. The same command goes on from there:\n"
        + "".join(f"  {r.writer.directory}\n" for r in recordings)
    )


def _cuts_off(error: Exception, directory: Path) -> bool:
    """Whether a run isn't to be blamed for an error of its population's training."""
    return isinstance(error, TakenAwayError) or is_of_disk(error, directory) or is_too_many_open(error)


@contextmanager
def _disk_said(directories: Sequence[Path]) -> Iterator[None]:
    """Within it, an error that says that a directory can't be written is a DiskError with all that a user needs."""
    try:
        yield
    except OSError as error:
        for directory in directories:
            if is_of_disk(error, directory):
                raise disk_error(error, directory.parent, resume_step(directory)) from error
        raise


def resume_step(directory: Path) -> int:
    try:
        return RunWriter.resume_step(directory)
    except Exception:  # it can't be read now; there are worse troubles
        return 0


def _record(member: Pending, group: str | None, open_writers: ExitStack) -> Recording:
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
        "sources": sources(job.resolved),
    }


def _sittings(directory: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Where a run goes on with another torch, number of threads or device than before: those of each sitting."""
    step = resume_step(directory)
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
