"""When a quantity is measured, and the guard that leaves training untouched by it."""

import copy
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, SupportsFloat, TypeVar

import torch
from torch import Tensor, nn

from atml_exp.data import Dataset, Split
from atml_exp.data_guard import DataChangedError, tensors_of, versions
from atml_exp.fields import Incidental, Schedule, Start
from atml_exp.schedule import due

__all__ = [
    "OPTIMISER",
    "DataChangedError",
    "Plan",
    "Probe",
    "Value",
    "is_vectorised",
    "measure",
    "measure_each",
    "of_model_and_points",
    "over_replicas",
    "reason",
    "scalars_and_arrays",
    "specimen",
]

_F = TypeVar("_F", bound=Callable[..., object])

OPTIMISER = "optimiser"
"""What a probe `reads` that needs the optimiser's state."""

_OURS = Path(__file__).resolve().parent

Value = float | bool | Tensor
"""A scalar (goes to the metrics) or an array (goes to the run's arrays)."""


@dataclass(frozen=True)
class Probe:
    """A quantity and its schedule. The quantity is a plain function; this class is never subclassed.

    fn: `fn(model, split)` → mapping of names to values; with `reads`, `fn(points)`, or, for a function that
        `of_model_and_points` marks, `fn(model, split, points)`. The model is in eval mode.
    every: `100it`, `2ep`, `log` or `end`; the last step is always measured as well.
    start: measured from here on: `500it`, `10ep`, or counted from the end: `-500it`.
    split: the examples that `fn` is given; `both`: the whole Dataset.
    reads: a recorded array, such as `trajectory/weights`, that `fn` is a function of, instead of (model, split); or
        `optimiser`: its state by name, and `step`, how many updates it has made, in place of the points.
    picture: dotted path of `draw(run, name) -> Figure` for the report; without it, the curves of all its scalars.
    """

    fn: Callable[..., Mapping[str, Value]]
    every: Schedule = "1ep"
    start: Start = "0it"
    split: Literal["train", "test", "both"] = "train"
    reads: str | None = None
    picture: Annotated[str | None, Incidental()] = None


class Plan:
    """Which probes are due at a step of a training of known length."""

    def __init__(self, probes: Mapping[str, Probe], total: int, steps_per_epoch: int) -> None:
        self._due = {n: due(p.every, total, steps_per_epoch, p.start) for n, p in probes.items()}

    def __call__(self, step: int) -> list[str]:
        return [name for name, is_due in self._due.items() if is_due(step)]


def specimen(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the module, in eval mode, holding these parameters and buffers: what probes are given."""
    copied = copy.deepcopy(model).eval()
    with torch.no_grad():
        for name, tensor in {**dict(copied.named_parameters()), **dict(copied.named_buffers())}.items():
            tensor.copy_(state[name])
    return copied


def measure(
    probe: Probe,
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Dataset,
    recorded: Callable[[str], Any],
) -> Mapping[str, Value]:
    """The probe's values for these weights: the one path while training, at the end and on a checkpoint.

    The probe gets a copy of the model, and of the optimiser's state where it reads that; by the guard it can leave
    nothing behind. Whatever it raises is passed on.
    """
    with _untouched(data):
        if probe.reads is None:
            return probe.fn(specimen(model, state), _examples(probe, data))
        points = recorded(probe.reads)
        if probe.reads == OPTIMISER:
            points = _copies(
                points
            )  # what is recorded is read anew each time; this state is what training goes on with
        if not getattr(_function(probe), "of_model_and_points", False):
            return probe.fn(points)
        return probe.fn(specimen(model, state), _examples(probe, data), points)


def _examples(probe: Probe, data: Dataset) -> Split | Dataset:
    return data if probe.split == "both" else getattr(data, probe.split)


def _function(probe: Probe) -> Any:
    """The quantity itself, without its options."""
    return probe.fn.func if isinstance(probe.fn, partial) else probe.fn


def of_model_and_points(fn: _F) -> _F:
    """Declares that a quantity of recorded points needs the model and its data too: fn(model, split, points)."""
    fn.of_model_and_points = True  # type: ignore[attr-defined]
    return fn


def over_replicas(vectorised: Callable[..., Sequence[Mapping[str, Value] | None]]) -> Callable[[_F], _F]:
    """Declares how a quantity is measured on R replicas at once, to the same values up to rounding.

    vectorised(model, state, splits, **options) → R mappings, None for a replica that is to be measured by itself;
    state: {name: (R, …)}; splits: of each replica (its whole Dataset where the probe is given both).
    """

    def mark(fn: _F) -> _F:
        fn.over_replicas = vectorised  # type: ignore[attr-defined]
        return fn

    return mark


def is_vectorised(probe: Probe) -> bool:
    """Whether it can be measured on several replicas at once."""
    return hasattr(_function(probe), "over_replicas") and probe.reads is None


def measure_each(
    probe: Probe, model: nn.Module, state: Mapping[str, Tensor], data: Sequence[Dataset]
) -> Sequence[Mapping[str, Value] | None] | None:
    """The probe's values for each of R replicas, None for those to be measured alone. state: {name: (R, …)}.

    None altogether where the probe has no vectorised form.
    """
    if not is_vectorised(probe):
        return None
    options = probe.fn.keywords if isinstance(probe.fn, partial) else {}
    with ExitStack() as guards:
        for each in {id(d): d for d in data}.values():
            guards.enter_context(_untouched(each))
        splits = [_examples(probe, d) for d in data]
        return _function(probe).over_replicas(copy.deepcopy(model).eval(), _copies(state), splits, **options)


def _copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


@contextmanager
def _untouched(data: Dataset) -> Iterator[None]:
    """Puts back random states, gradient mode and default dtype; DataChangedError where the data were changed in
    place. What was written into them past torch is found by `atml_exp.data_guard`.
    """
    tensors = tensors_of(data)
    before = versions(tensors)
    dtype, deterministic = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
    try:
        with torch.random.fork_rng(), torch.set_grad_enabled(True):
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.are_deterministic_algorithms_enabled() != deterministic:  # the setter imports for a second
            torch.use_deterministic_algorithms(deterministic)
        if versions(tensors) != before:
            raise DataChangedError("a probe wrote into the data in place: it must work on a copy")


def reason(error: Exception) -> str:
    """Why a probe failed, in a line; and where in the code: the last line that isn't a library's. What we ourselves
    refuse (ValueError) explains itself.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_of_a_library(frame.filename)]
    explains = isinstance(error, ValueError) and frames and _OURS in Path(frames[-1].filename).parents
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames and not explains else ""
    return f"{type(error).__name__}: {error}{place}"


def _is_of_a_library(filename: str) -> bool:
    return not {"torch", "numpy", "scipy", "sklearn", "pandas"}.isdisjoint(Path(filename).parts)


def _is_a_value(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, SupportsFloat) and getattr(value, "ndim", 0) == 0)


def scalars_and_arrays(name: str, values: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """A probe's values under their full names `name/key`: numbers for the metrics, tensors for the arrays."""
    scalars: dict[str, float] = {}
    arrays: dict[str, Tensor] = {}
    if not isinstance(values, Mapping):
        raise ValueError(f"it gave a {type(values).__name__}; allowed: a mapping of names to numbers or tensors")
    for key, value in values.items():
        if not _is_a_value(value):
            kind = type(value).__name__
            raise ValueError(f"{key} is a {kind}; allowed: a number or a tensor, as torch.as_tensor makes of many")
        if isinstance(value, Tensor) and value.dim() > 0:
            arrays[f"{name}/{key}"] = value.detach().cpu()
        else:
            scalars[f"{name}/{key}"] = float(value.detach() if isinstance(value, Tensor) else value)
    return scalars, arrays
