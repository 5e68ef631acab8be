"""Which jobs can train as one population: those that differ only in numbers that stack."""

import json
from collections.abc import Mapping
from typing import Any

from atml_exp.identity import identity
from atml_exp.job import Job

__all__ = ["group_key"]


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
