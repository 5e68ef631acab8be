"""Which jobs can train as one population: those that differ only in numbers that stack."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch.nn.modules.conv import _ConvNd as _Convolution

from atml_exp.job import Job
from atml_exp.layout import Layout
from atml_exp.store.identity import identity
from atml_exp.targets import stacked_options

__all__ = ["batch_sizes", "group_key", "population_size", "without_numbers"]

WORKING_SET = 12e6
"""Bytes of weights, gradients, velocities and their temporaries that a population's step passes over. Chosen by us:
of MLPs with 26,000 weights, 16 to 32 train fastest together on a CPU, of those with 3,500 about 128."""

INITIAL = ("initial_scale", "initial_bias_std")
"""Numbers of a model that its initial weights alone depend on."""


def group_key(job: Job) -> str:
    """Equal for two jobs that may share a population.

    Seeds, the optimiser's and its schedules' numbers, the corruptions' numbers, initial scales and what a loss
    stacks may differ; anything else, and the size of the training set, starts another group, as does an optimiser
    of torch.optim.
    """
    same = dict(identity(job.config))
    same.pop("seed", None)
    if getattr(job.optimiser, "stackable", True):
        same["optimiser"] = without_numbers(same.get("optimiser"))
    else:
        same["alone"] = job.id
    same["dataset"] = without_numbers(same.get("dataset"), only_below="wrapper")
    same["loss"] = {k: v for k, v in (same.get("loss") or {}).items() if k not in stacked_options(job.loss_fn)}
    same["model"] = {k: v for k, v in (same.get("model") or {}).items() if k not in INITIAL}
    return _text(same, job)


def batch_sizes(jobs: Sequence[Job]) -> list[int] | None:
    """Of each job; None where all are equal."""
    sizes = [job.resolved["recipe"].get("batch_size") for job in jobs]
    return sizes if len(set(sizes)) > 1 else None


def _text(same: Any, job: Job) -> str:
    shape = [tuple(job.data.train.x.shape), str(job.device), job.resolved["output_dir"]]
    return json.dumps([same, shape], sort_keys=True, default=str)


def without_numbers(node: Any, only_below: str | None = None) -> Any:
    """The node without its numbers; with `only_below`, without those under that key."""
    if isinstance(node, Mapping):
        if only_below is not None:
            return {k: without_numbers(v) if k == only_below else v for k, v in node.items()}
        return {k: without_numbers(v) for k, v in node.items() if not _is_number(v)}
    if isinstance(node, list | tuple):
        return [without_numbers(v) for v in node]
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
    numbers = Layout.of(job.model).size or sum(buffer.numel() for buffer in job.model.buffers())
    weights = numbers * job.dtype.itemsize
    return max(8, min(512, round(WORKING_SET / (5 * weights))))
