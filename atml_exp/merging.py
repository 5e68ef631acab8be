"""Joins groups of jobs whose models differ in what can be filled up: the batch size, the width."""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch.nn.modules.conv import _ConvNd as _Convolution

from atml_exp.batches import Batch
from atml_exp.grouping import batch_sizes, group_key, without_numbers
from atml_exp.job import Job
from atml_exp.layout import Layout
from atml_exp.optimisers.optimiser import stack
from atml_exp.padding import pad
from atml_exp.population import Population, assemble, draws_randomness, is_known, mixes_examples, update

__all__ = ["merged", "same_when_padded"]

_T = TypeVar("_T")

FIXED_COST = 5e7
"""Floating-point operations that could be done in the time that a step takes on a CPU whatever its population is.
Measured with MLPs of 3,500 and 26,000 weights: 0.45 ms, at the 130 to 150 GFLOP/s at which more examples add to it;
a little less, so that training batches of different sizes together isn't slower."""


def merged(
    groups: Sequence[list[_T]], describe: Callable[[_T], tuple[Job, Any]], limit: Callable[[Job], int]
) -> list[list[_T]]:
    """Joins groups whose jobs differ in batch size or in the model's width, where a step of all of them takes no
    longer than one of each.

    The rows of smaller batches are filled up to the largest, the weights of narrower models to the widest, and what
    fills them is computed for nothing: that must cost less than the fixed cost of one more step. describe: a
    member's job, and what else must be equal. limit: how many jobs like this one train together at most; no group
    is larger, or the step wouldn't be saved. The widest come first in a group.
    """

    def job_of(member: _T) -> Job:
        return describe(member)[0]

    def joined(found: Sequence[list[_T]], kind_of: Callable[[list[_T]], Any], filling: _Filling) -> list[list[_T]]:
        kinds: dict[Any, list[list[_T]]] = {}
        for group in found:
            kind = kind_of(group)
            kinds.setdefault(id(group) if kind is None else (kind, describe(group[0])[1]), []).append(group)
        return [g for kind in kinds.values() for g in _joined(kind, job_of, limit, filling)]

    def batches(group: list[_T]) -> str | None:
        return _any_batch_size(job_of(group[0])) if _is_without_epochs(job_of(group[0])) else None

    def widths(group: list[_T]) -> str | None:
        jobs = [job_of(member) for member in group]
        return _any_width(jobs[0]) if batch_sizes(jobs) is None and _has_width(jobs[0]) else None

    return joined(joined(groups, batches, _FILLED_BATCHES), widths, _FILLED_WIDTHS)


@dataclass(frozen=True)
class _Filling:
    """size: of a job, what is filled up. cost: in operations for each unit of it. allowed: whether this job may be
    filled up to that of another.
    """

    size: Callable[[Job], int]
    cost: Callable[[Job], float]
    allowed: Callable[[Job, Job], bool]


def _batch_size(job: Job) -> int:
    return int(job.resolved["recipe"].get("batch_size") or len(job.data.train))


def _num_weights(job: Job) -> int:
    return Layout.of(job.model).size


_FILLED_BATCHES = _Filling(_batch_size, lambda job: 6 * _num_weights(job), lambda small, large: True)
_FILLED_WIDTHS = _Filling(_num_weights, lambda job: 24 * _batch_size(job), lambda a, b: same_when_padded(a, b))
"""The products of an example take 6 operations for each weight: forward and twice backward. More models at once are
slower by as many operations than more examples of each: measured with batches of 50 and widths up to 256, a quarter
of the speed, 35 GFLOP/s."""


def _joined(
    groups: Sequence[list[_T]], job_of: Callable[[_T], Job], limit: Callable[[Job], int], filling: _Filling
) -> list[list[_T]]:
    if len(groups) == 1:
        return list(groups)

    def first(group: list[_T]) -> Job:
        return job_of(group[0])

    found: list[list[_T]] = []
    for group in sorted(groups, key=lambda g: filling.size(first(g)), reverse=True):
        if found and _is_worth_it(first(found[-1]), first(group), len(found[-1]), len(group), limit, filling):
            found[-1] = found[-1] + group
        else:
            found.append(group)
    return found


def _is_worth_it(
    large: Job, small: Job, there: int, more: int, limit: Callable[[Job], int], filling: _Filling
) -> bool:
    wasted = filling.cost(large) * more * (filling.size(large) - filling.size(small))
    return there + more <= limit(large) and wasted < FIXED_COST and filling.allowed(small, large)


def _any_batch_size(job: Job) -> str:
    same, shape = json.loads(group_key(job))
    recipe = {k: v for k, v in (same.pop("recipe", None) or {}).items() if k != "batch_size"}
    return json.dumps([same, recipe, shape], sort_keys=True)


def _any_width(job: Job) -> str:
    """Equal for jobs whose models differ in numbers only."""
    same, shape = json.loads(group_key(job))
    return json.dumps([{**same, "model": without_numbers(same.get("model"))}, shape], sort_keys=True)


def _has_width(job: Job) -> bool:
    """Whether models like this one may be filled up: the products with their weights are the cost of a step."""
    modules = list(job.model.modules())
    return job.resolved["recipe"]["_target_"] == "atml_exp.recipes.train.train" and all(
        is_known(type(m)) and not isinstance(m, _Convolution) for m in modules
    )


def same_when_padded(narrow: Job, wide: Job) -> bool:
    """Whether a model trains the same in the layout of a wider one: two steps of both on a few examples, in
    float64.

    What normalises over units, keeps statistics or draws a number for each weight doesn't, and is found out so.
    """
    padding = pad([narrow.model], Layout.of(wide.model))
    if padding is None or draws_randomness(wide.model, wide.data.train.x[:2], wide.data.train.y[:2], wide.loss_fn):
        return False
    alone = _trial([narrow])
    together = _trial([wide, narrow])
    own = together.padding.own(1, together.w[1]) if together.padding else together.w[1]
    return torch.allclose(alone.w, own, rtol=1e-10, atol=1e-12, equal_nan=True)


def _trial(jobs: Sequence[Job]) -> Population:
    models = [copy.deepcopy(job.model).double() for job in jobs]
    population = assemble(models, [0] * len(jobs))  # one seed: the draws, if any, must be the same too
    optimiser = stack([job.optimiser for job in jobs], like=population.w)
    population = replace(population, recordable=False, state=optimiser.init(population.w))
    x, y = jobs[-1].data.train.x[:4].double(), jobs[-1].data.train.y[:4]
    batch = Batch(x, y.double() if y.is_floating_point() else y)
    for _ in range(2):
        population = update(population, optimiser, jobs[0].loss_fn, batch, optimiser.learning_rate, lambda: batch)
    return population


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
