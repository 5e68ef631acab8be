"""The keys at the top of a config, beside its groups."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from atml_exp.fields import Incidental, Name, NonNegative, NonNegativeInt, Schedule

__all__ = ["GROUPS", "LISTS", "SUBGROUPS", "Checkpoint", "Settings"]

GROUPS = ("dataset", "model", "loss", "optimiser", "recipe")
"""Groups of which a run has one choice."""
LISTS = ("probe", "logger")
"""Groups of which it has any number, each under its own name."""
SUBGROUPS = {"dataset": "wrapper", "optimiser": "schedule"}
"""Groups inside a group, of which it has any number."""


@dataclass(frozen=True)
class Checkpoint:
    """keep: when a checkpoint is kept for good; never: no model is left, for sweeps of which only the
    numbers are wanted. interval: seconds between those that a resume goes on from.
    """

    keep: Schedule | Literal["never"] = "end"
    interval: NonNegative = 10.0


@dataclass(frozen=True)
class Settings:
    """What a run is besides its dataset, model, loss, optimiser, recipe, probes and loggers.

    seed: of initialisation, batch order and corruptions; the data and its split have seeds of their own.
    device: `auto` takes CUDA, then MPS, then the CPU. dtype: of weights and data.
    output_dir: runs go to `<output_dir>/runs/<run id>`. force: train again, as a new attempt beside the old one.
    wait: for a run that another process is training; false refuses it instead.
    objective: the metric whose last value a sweeper such as Optuna searches by, `test/error` for instance.
    trusted_packages: packages besides ours, torch and torchvision whose classes `_target_` may name.
    """

    seed: NonNegativeInt = 0
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Incidental()] = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    output_dir: Annotated[Name, Incidental()] = "outputs"
    force: Annotated[bool, Incidental()] = False
    wait: Annotated[bool, Incidental()] = True
    progress: Annotated[bool, Incidental()] = True
    checkpoint: Annotated[Checkpoint, Incidental()] = field(default_factory=Checkpoint)
    objective: Annotated[Name | None, Incidental()] = None
    trusted_packages: Annotated[tuple[Name, ...], Incidental()] = ()
