"""Looks at a population before each step: runs the probes that are due and writes what they say."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from atml_exp.data import Dataset, Split
from atml_exp.data_guard import MODEL, DataChangedError, DataGuard, changed
from atml_exp.loggers.logger import Logger
from atml_exp.masks import density_of, emptied, prunable
from atml_exp.population import Population
from atml_exp.probe import (
    OPTIMISER,
    Plan,
    Probe,
    Value,
    is_vectorised,
    measure,
    measure_each,
    reason,
    scalars_and_arrays,
)
from atml_exp.progress import Display
from atml_exp.recorder import RunWriter, UnfitArrayError
from atml_exp.schedule import due
from atml_exp.stages import Stages

__all__ = ["Observer", "Recording"]

log = logging.getLogger("atml_exp")

EVALUATIONS: tuple[Literal["train"], Literal["test"]] = ("train", "test")
"""The probes of loss and error on each split: they come first, and are still measured where a run diverges."""

Evaluate = Callable[[nn.Module, Split], Mapping[str, Value]]


@dataclass
class Recording:
    """What is kept of one replica: its writer, its loggers, and what became of it."""

    data: Dataset
    writer: RunWriter
    loggers: Sequence[Logger] = ()
    diverged_at: int | None = None
    steps_per_epoch: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def notes(self, step: int) -> dict[str, Any]:
        """What a resume at `step`, which will measure it anew, must know besides the population."""
        before = self.diverged_at is not None and self.diverged_at < step
        return {"diverged_at": self.diverged_at if before else None, "failures": self.failures}


class Observer:
    """Measures each replica of a population by the probes' plan, and checkpoints by the clock."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        probes: Mapping[str, Probe],
        evaluate: Evaluate,
        *,
        keep: str = "end",
        interval: float = 10.0,
        show: Callable[[int], Display] | None = None,
    ) -> None:
        """evaluate: loss and error of a model on a split. show: makes the progress display for so many steps."""
        self.recordings = recordings
        self.latest: Population | None = None
        self.latest_step = 0
        self.total = 0
        self._stages = Stages([r.writer for r in recordings])
        self._probes = dict(probes)
        self._evaluate = evaluate
        self._keep, self._interval, self._show = keep, interval, show
        self._saved = time.monotonic()
        self._numbers: dict[str, float] = {}
        self._guard = DataGuard([r.data for r in recordings])
        self._is_state_read = any(p.reads == OPTIMISER for p in probes.values())
        self._progress: Display | None = None
        self._displays = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._displays.close()

    def begin(
        self,
        population: Population,
        total: int,
        steps_per_epoch: Sequence[int],
        evaluate_every: str,
        *,
        measured: bool = True,
    ) -> tuple[Population, bool]:
        """Before the first step of a training up to the population's step `total`.

        Returns the population to go on with, and whether the training had ended already, before the run was cut
        off. steps_per_epoch: of each replica; where they differ, nothing may be scheduled by epochs.
        evaluate_every: how often loss and error are measured. measured: False: nothing is, and nothing is kept.
        """
        population, ended = self._stages.enter(population, total)
        self.total = self._stages.recorded(total)
        for recording, steps in zip(self.recordings, steps_per_epoch, strict=True):
            recording.steps_per_epoch = steps
        evaluations: dict[str, Probe] = {s: Probe(self._evaluate, evaluate_every, split=s) for s in EVALUATIONS}
        self._probes = {**evaluations, **{n: p for n, p in self._probes.items() if n not in EVALUATIONS}}
        self._plan = Plan(self._probes, total, steps_per_epoch[0])
        self._kept = _never if self._keep == "never" else due(self._keep, total, steps_per_epoch[0])
        self._measured = measured
        if self._show is not None and not ended:
            self._displays.close()
            self._progress = self._displays.enter_context(self._show(total))
        return population, ended

    def end(self, population: Population) -> None:
        """After the last step of a training. DataChangedError where the data aren't what they were at its start."""
        self._guard.compare(self.latest_step)
        self._stages.leave(population)

    def observe(self, population: Population, learning_rate: Any) -> None:
        """Everything that is due before the population's next step."""
        self._reach(population)
        step = population.step
        if not self._measured or self._stages.is_looked_at(step):
            return
        if names := self._plan(step):
            self._measure(names, population, learning_rate)
        if self._kept(step):
            for r, recording in enumerate(self.recordings):
                if recording.diverged_at is None:
                    state = population.optimiser_state(r) if self._is_state_read else {}
                    recording.writer.keep(
                        self.latest_step, population.replica(r), state, updates=population.updates
                    )
        if self._progress is not None:
            self._progress.update(step, self._numbers)

    def tick(self, population: Population) -> None:
        """After each step: a checkpoint where the last one is older than the interval."""
        self._reach(population)
        self._guard.trained()
        if time.monotonic() - self._saved >= self._interval:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Writes, for each replica, the state that a resume goes on from; it counts once all are written.

        DataChangedError, with nothing written, where the data aren't what they were at the start.
        """
        population = self.latest
        if population is None:
            return
        self._guard.compare(self.latest_step)
        self._stages.write()
        together = self.together
        for r, recording in enumerate(self.recordings):
            recording.writer.checkpoint(
                self.latest_step,
                population.replica(r),
                population.optimiser_state(r),
                notes=recording.notes(self.latest_step),
                together=together,
            )
        for recording in self.recordings:
            recording.writer.forget_former()
        self._saved = time.monotonic()

    @property
    def together(self) -> list[str]:
        """The directories' names of the population's runs; none of a single run."""
        names = [r.writer.directory.name for r in self.recordings]
        return names if len(names) > 1 else []

    def _reach(self, population: Population) -> None:
        self.latest, self.latest_step = population, self._stages.recorded(population.step)

    @property
    def all_diverged(self) -> bool:
        return all(r.diverged_at is not None for r in self.recordings)

    def _measure(self, names: list[str], population: Population, learning_rate: Any) -> None:
        self._guard.will_measure(names, self.latest_step)
        finite = population.finite()
        going = [r for r, recording in enumerate(self.recordings) if recording.diverged_at is None]
        together = self._together(names, population, [r for r in going if finite[r]])
        for r in going:
            if not finite[r]:
                self.recordings[r].diverged_at = self.latest_step
            rate = float(learning_rate[r]) if isinstance(learning_rate, Tensor) else float(learning_rate)
            self._measure_replica(names, population, r, rate, together.get(r, {}))

    def _together(
        self, names: list[str], population: Population, replicas: Sequence[int]
    ) -> dict[int, dict[str, Mapping[str, Value]]]:
        """{replica: {probe: values}} of the probes that can measure several replicas at once."""
        found: dict[int, dict[str, Mapping[str, Value]]] = {r: {} for r in replicas}
        for members in population.alike(replicas):
            if len(members) < 2:
                continue
            state = population.named_of(members)
            for name in names:
                for r, value in zip(members, self._each(name, population, members, state), strict=False):
                    if value is not None:
                        found[r][name] = value
        return found

    def _each(
        self, name: str, population: Population, replicas: Sequence[int], state: Mapping[str, Tensor]
    ) -> Sequence[Mapping[str, Value] | None]:
        """A probe's values for replicas of one width; empty where it measures them one by one."""
        if not is_vectorised(self._probes[name]):
            return ()
        data = [self.recordings[r].data for r in replicas]
        try:
            with self._guarded(name):
                return measure_each(self._probes[name], population.model_of(replicas[0]), state, data) or ()
        except DataChangedError:
            raise
        except Exception as error:  # one by one, each replica gets its numbers or its own reason
            log.info("probe %s is measured replica by replica: %s", name, error)
            return ()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Around a probe that is given the data: one that changes them is named. Loss and error call the model."""
        who, step = MODEL if name in EVALUATIONS else f"probe {name}", self.latest_step
        try:
            yield
        except DataChangedError as error:
            raise changed([who], "in place", step, step) from error
        except Exception:
            self._guard.was_near(name, who, step)
            raise
        self._guard.was_near(name, who, step)

    def _measure_replica(
        self,
        names: list[str],
        population: Population,
        r: int,
        rate: float,
        known: Mapping[str, Mapping[str, Value]],
    ) -> None:
        recording, step = self.recordings[r], self.latest_step
        scalars: dict[str, float] = {"optimiser/learning_rate": rate} if "train" in names else {}
        if "train" in names and population.mask is not None:
            scalars |= _of_mask(population.named_mask(r))
        for name in names:
            if recording.diverged_at is not None and name not in EVALUATIONS:
                continue
            values = self._recorded(name, population, r, known.get(name))
            scalars |= values
            if name in EVALUATIONS and not math.isfinite(values.get(f"{name}/loss", 0.0)):
                recording.diverged_at = step
        self._write(recording, step, scalars)

    def _recorded(
        self, name: str, population: Population, r: int, known: Mapping[str, Value] | None
    ) -> dict[str, float]:
        """One probe's numbers, its arrays being recorded; one that fails is noted with its reason, nothing of it is
        recorded, and it harms nothing else. known: its values where they have been measured.
        """
        recording = self.recordings[r]
        try:
            values = self._values(name, population, r) if known is None else known
            scalars, arrays = scalars_and_arrays(name, values)
        except DataChangedError:
            raise
        except Exception as error:
            self._note(name, recording, error)
            return {}
        try:
            recording.writer.arrays(self.latest_step, arrays)
        except UnfitArrayError as error:
            self._note(name, recording, error)
            return {}
        return scalars

    def _values(self, name: str, population: Population, r: int) -> Mapping[str, Value]:
        recording = self.recordings[r]
        like = population.w

        def recorded(array: str) -> Any:
            if array == OPTIMISER:
                return {**population.optimiser_state(r), "step": torch.tensor(population.updates)}
            return torch.from_numpy(recording.writer.recorded(array)).to(like.device)

        model, state = population.model_of(r), population.replica(r)
        with self._guarded(name):
            return measure(self._probes[name], model, state, recording.data, recorded)

    def _note(self, name: str, recording: Recording, error: Exception) -> None:
        """Why a probe failed, the first time."""
        if name not in recording.failures:
            recording.failures[name] = f"step {self.latest_step}: {reason(error)}"
            whole = error if os.environ.get("HYDRA_FULL_ERROR") == "1" else None
            log.warning("probe %s failed at %s", name, recording.failures[name], exc_info=whole)

    def _write(self, recording: Recording, step: int, scalars: Mapping[str, float]) -> None:
        if not scalars:
            return
        epoch = step / recording.steps_per_epoch
        recording.writer.scalars(step, epoch, scalars)
        for logger in recording.loggers:
            logger.log(step, epoch, scalars)
        if recording is self.recordings[0]:
            shown = ("train/loss", "train/error", "test/error")
            self._numbers = {**self._numbers, **{n: v for n, v in scalars.items() if n in shown}}


def _never(step: int) -> bool:
    return False


def _of_mask(mask: Mapping[str, Tensor]) -> dict[str, float]:
    """What is kept of the weights that can be pruned, as fraction and number; how many layers have nothing left."""
    weights = prunable(mask)
    return {
        "mask/density": density_of(weights),
        "mask/weights": float(sum(int(kept.sum()) for kept in weights.values())),
        "mask/emptied_layers": float(len(emptied(weights))),
    }
