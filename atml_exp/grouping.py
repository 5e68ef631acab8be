"""Which jobs can train as one population: those that differ only in numbers that stack."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch.nn.modules.conv import _ConvNd as _Convolution

from atml_exp.identity import identity
from atml_exp.job import Job
from atml_exp.layout import Layout
from atml_exp.population import is_known, mixes_examples

__all__ = ["batch_sizes", "group_key", "is_out_of_memory", "merged", "population_size"]

_T = TypeVar("_T")

WORKING_SET = 12e6
"""Bytes of weights, gradients, velocities and their temporaries that a population's step passes over. Chosen by us:
of MLPs with 26,000 weights, 16 to 32 train fastest together on a CPU, of those with 3,500 about 128."""


FIXED_COST = 5e7
"""Floating-point operations that could be done in the time that a step takes on a CPU whatever its population is.
Measured with MLPs of 3,500 and 26,000 weights: 0.45 ms, at the 130 to 150 GFLOP/s at which more examples add to it;
a little less, so that training batches of different sizes together isn't slower."""


def group_key(job: Job) -> str:
    """Equal for two jobs that may share a population.

    Seeds, the optimiser's and its schedules' numbers, the corruptions' numbers and the initial scale may differ;
    anything else, and the size of the training set, starts another group, as does an optimiser of torch.optim.
    """
    same = dict(identity(job.config))
    same.pop("seed", None)
    if getattr(job.optimiser, "stackable", True):
        same["optimiser"] = _without_numbers(same.get("optimiser"))
    else:
        same["alone"] = job.id
    same["dataset"] = _without_numbers(same.get("dataset"), only_below="wrapper")
    same["model"] = {k: v for k, v in (same.get("model") or {}).items() if k != "initial_scale"}
    return _text(same, job)


def merged(
    groups: Sequence[list[_T]], describe: Callable[[_T], tuple[Job, Any]], limit: Callable[[Job], int]
) -> list[list[_T]]:
    """Joins groups whose jobs differ in batch size, where a step of all of them takes no longer than one of each.

    The rows of smaller batches are filled up to the largest, and what fills them is computed for nothing: that must
    cost less than the fixed cost of one more step. describe: a member's job, and what else must be equal. limit:
    how many jobs like this one train together at most; no group is larger, or the step wouldn't be saved.
    """
    kinds: dict[Any, list[list[_T]]] = {}
    for group in groups:
        job, rest = describe(group[0])
        kinds.setdefault((_any_batch_size(job), rest) if _is_without_epochs(job) else id(group), []).append(group)
    return [group for kind in kinds.values() for group in _joined(kind, lambda m: describe(m)[0], limit)]


def _joined(groups: Sequence[list[_T]], job_of: Callable[[_T], Job], limit: Callable[[Job], int]) -> list[list[_T]]:
    def size(group: list[_T]) -> int:
        return int(job_of(group[0]).resolved["recipe"]["batch_size"])

    if len(groups) == 1:
        return list(groups)
    first = job_of(groups[0][0])
    cost = 6 * Layout.of(first.model).size  # of an example: products, forward and twice backward
    most, found = limit(first), list[list[_T]]()
    for group in sorted(groups, key=size, reverse=True):
        fits = bool(found) and len(found[-1]) + len(group) <= most
        if fits and cost * len(group) * (size(found[-1]) - size(group)) < FIXED_COST:
            found[-1] = found[-1] + group
        else:
            found.append(group)
    return found


def batch_sizes(jobs: Sequence[Job]) -> list[int] | None:
    """Of each job; None where all are equal."""
    sizes = [job.resolved["recipe"].get("batch_size") for job in jobs]
    return sizes if len(set(sizes)) > 1 else None


def _any_batch_size(job: Job) -> str:
    same, shape = json.loads(group_key(job))
    recipe = {k: v for k, v in (same.pop("recipe", None) or {}).items() if k != "batch_size"}
    return json.dumps([same, recipe, shape], sort_keys=True)


def _is_without_epochs(job: Job) -> bool:
    """Whether jobs like this one do the same at each step whatever their batch size is: nothing is scheduled by
    epochs, no example's outputs depend on another's, and labels aren't drawn by batch.
    """
    recipe, modules = job.resolved["recipe"], list(job.model.modules())
    times = [recipe.get(name, "1ep") for name in ("steps", "evaluate_every")]  # left out, it is in epochs
    times.append(job.resolved["checkpoint"]["keep"])
    times += [time for probe in job.probes.values() for time in (probe.every, probe.start)]
    return (
        recipe["_target_"] == "atml_exp.recipes.train.train"
        and recipe.get("batch_size") is not None
        and not recipe.get("label_noise")
        and job.device.type == "cpu"
        and not any(str(time).endswith("ep") for time in times)
        and all(is_known(type(m)) and not isinstance(m, _Convolution) for m in modules)
        and not mixes_examples(job.model, job.data.train.x[:4])
    )


def _text(same: Any, job: Job) -> str:
    shape = [tuple(job.data.train.x.shape), str(job.device), job.resolved["output_dir"]]
    return json.dumps([same, shape], sort_keys=True, default=str)


def _without_numbers(node: Any, only_below: str | None = None) -> Any:
    """The node without its numbers; with `only_below`, without those under that key."""
    if isinstance(node, Mapping):
        if only_below is not None:
            return {k: _without_numbers(v) if k == only_below else v for k, v in node.items()}
        return {k: _without_numbers(v) for k, v in node.items() if not _is_number(v)}
    if isinstance(node, list | tuple):
        return [_without_numbers(v) for v in node]
    return node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def population_size(job: Job) -> int:
    """How many models like this one train fastest together, from 8 to 512: what stays in a CPU's cache.

    Convolutional ones 4, whose activations and not their weights fill it. On a GPU 512, which memory may halve.
    """
    if job.device.type != "cpu":
        return 512
    if any(isinstance(m, _Convolution) for m in job.model.modules()):
        return 4
    weights = Layout.of(job.model).size * job.dtype.itemsize
    return max(8, min(512, round(WORKING_SET / (5 * weights))))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device's or the machine's memory didn't suffice."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text
