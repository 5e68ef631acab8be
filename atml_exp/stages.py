"""The trainings of a recipe, one after the other, and how one that was cut off finds its place among them.

A recipe may call `fit` several times, with something in between that follows from what the call gave: prune,
rewind, train on. Cut off and started again it runs from its beginning, and each `fit` that had ended returns what
it gave then, so that only the one that was cut off goes on, from its last checkpoint.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from atml_exp.population import Population
from atml_exp.recorder import Checkpoint, RunWriter

__all__ = ["Stages"]


class Stages:
    """Counts the steps of a run over all its stages, and keeps what each stage has left.

    A population's own `step` is its place in the schedule and in the order of the data, which a rewinding turns
    back. In the run's records steps never turn back: a stage begins one step after the end of the one before,
    since what happens in between changes the weights as a step does.
    """

    def __init__(self, writers: Sequence[RunWriter]) -> None:
        self._writers = writers
        self._next = 0
        self._offset = 0
        self._left: Population | None = None
        self._ended: list[tuple[int, Population]] = []

    def recorded(self, step: int) -> int:
        """A population's step of this stage as the records count it."""
        return self._offset + step

    def enter(self, population: Population, total: int) -> tuple[Population, bool]:
        """The population where this stage was cut off, or as it left it, and whether it had ended; else as it is.

        total: the population's step at which the stage ends.
        """
        if population is not self._left:
            self._offset = self._next - population.step
        checkpoints, end = [w.resumed for w in self._writers], self.recorded(total)
        there = [c for c in checkpoints if c is not None]
        if not there or len(there) < len(checkpoints) or there[0].step < self._next:
            return population, False
        if there[0].step <= end:
            return restored(population, there, there[0].step - self._offset), False
        self._next = end + 1
        self._left = restored(population, [w.stage(end) for w in self._writers], total)
        return self._left, True

    def leave(self, population: Population) -> None:
        """The stage has ended. What it left is in memory until there is a checkpoint that needs it."""
        self._ended.append((self.recorded(population.step), population))
        self._next = self.recorded(population.step) + 1
        self._left = population

    def is_looked_at(self, step: int) -> bool:
        """Whether the last stage ended with the very same weights, and so has measured them."""
        return self.recorded(step) < self._next

    def write(self) -> None:
        """What the stages before this one have left goes to disk."""
        for end, population in self._ended:
            for r, writer in enumerate(self._writers):
                writer.leave_stage(end, population.replica(r), population.optimiser_state(r))
        self._ended.clear()


def restored(population: Population, checkpoints: Sequence[Checkpoint], step: int) -> Population:
    """The population with weights, buffers and optimiser's state from a checkpoint for each replica."""

    def gather(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return (torch.stack(list(tensors)) if population.stacked else tensors[0]).to(population.w.device)

    return replace(
        population,
        w=gather([population.vector(r, c.model) for r, c in enumerate(checkpoints)]),
        buffers={n: gather([c.model[n] for c in checkpoints]) for n in population.buffers},
        state={
            n: gather([population.row(r, c.optimiser[n]) for r, c in enumerate(checkpoints)])
            for n in checkpoints[0].optimiser
        },
        step=step,
    )
