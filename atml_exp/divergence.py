"""Whether and why a training diverged, where theory can say: its step size beside the largest stable one."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from atml_exp.job import Job
from atml_exp.models.objective import Objective
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.nesterov import Nesterov
from atml_exp.optimisers.sgd import SGD
from atml_exp.probes.sharpness import sharpness
from atml_exp.theory import largest_stable_learning_rate

__all__ = ["StepSize", "is_climbing", "step_size"]

AFFORDABLE = 10**9
"""Examples × weights up to which the curvature is measured: some seconds on one core."""


@dataclass(frozen=True)
class StepSize:
    """A step size and `limit`, above which descent on a quadratic of this curvature diverges.

    of: whose curvature it is. is_global: whether it bounds the curvature everywhere, not only at the start.
    """

    rate: float
    limit: float
    curvature: float
    of: str
    is_global: bool

    def __str__(self) -> str:
        if self.rate > self.limit:
            relation, end = "above", ""
        else:
            relation, end = "not above", "; where it diverged the curvature must have been larger"
        return (
            f"optimiser.learning_rate = {self.rate:g} is {relation} {self.limit:.4g}, the largest stable step size "
            f"for the curvature {self.curvature:.4g} of {self.of}{end}"
        )


def step_size(job: Job) -> StepSize | None:
    """A job's step size beside `largest_stable_learning_rate` for the curvature L + λ, λ the weight decay.

    L is the constant that the objective states, else λ_max of the training loss at the initial weights. None where
    there is no such limit: for optimisers besides gd, sgd, momentum and nesterov, without positive curvature, and
    for nets whose curvature would take long to measure. Mini-batches and schedules aren't taken into account.
    """
    optimiser = job.optimiser
    if type(optimiser).update not in {kind.update for kind in (SGD, Momentum, Nesterov)}:
        return None
    found = _curvature(job)
    if found is None or not found[0] + optimiser.weight_decay > 0:
        return None
    curvature = found[0] + optimiser.weight_decay
    momentum = getattr(optimiser, "momentum", 0.0)
    limit = largest_stable_learning_rate(curvature, momentum, isinstance(optimiser, Nesterov))
    return StepSize(float(optimiser.learning_rate), limit, curvature, *found[1:])


def is_climbing(job: Job, losses: Sequence[float]) -> bool:
    """Whether a training that stayed finite climbs all the same: its step size is above the limit, of a curvature
    that holds everywhere, and it ended above the lowest of its losses. With more steps it would overflow.

    losses: of the training set, as they were measured. Nothing is said of a training of no steps.
    """
    if not losses or not _has_global_curvature(job):
        return False
    start = float(job.evaluate(job.redrawn(0), job.data.train)["loss"])
    if losses[-1] <= min(start, *losses):
        return False
    found = step_size(job)
    return found is not None and found.rate > found.limit


def _has_global_curvature(job: Job) -> bool:
    """Of an objective that states L; of a linear model under half the mean squared error, a quadratic."""
    if isinstance(job.model, Objective):
        return job.model.known.smoothness is not None
    trained = [m for m in job.model.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    quadratic = str(job.resolved["loss"]["_target_"]).endswith(".mse")
    return quadratic and len(trained) == 1 and isinstance(trained[0], nn.Linear)


def _curvature(job: Job) -> tuple[float, str, bool] | None:
    """(L, of what, whether it holds everywhere); None where it can't be had at a reasonable cost."""
    is_global = _has_global_curvature(job)
    if isinstance(job.model, Objective) and is_global:
        name = str(job.resolved["model"]["_target_"]).rpartition(".")[2]
        return float(job.model.known.smoothness or 0.0), name, True
    model = job.redrawn(0)  # the job's own module was trained in
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if len(job.data.train) * weights > AFFORDABLE:
        return None
    top = float(sharpness(model, job.data.train, loss=job.loss_fn)["top"])
    return top, "the training loss" + ("" if is_global else " at the initial weights"), is_global
