"""Fairness in training by reductions: the run's net, trained again and again, mixed to a fair classifier."""

import numpy as np
from torch import nn

from atml_exp.data import Dataset, Split, compares_groups, suits
from atml_exp.exponentiated_gradient import Constraint, Net, Randomised
from atml_exp.exponentiated_gradient import exponentiated_gradient as reduced
from atml_exp.fields import Duration, NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import LossFn
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.probe import Value
from atml_exp.probes.fairness import Scored, gap, scored
from atml_exp.probes.threshold_optimiser import COMPARED, rates

__all__ = ["exponentiated_gradient"]


@compares_groups
@suits("binary")
def exponentiated_gradient(
    model: nn.Module,
    data: Dataset,
    *,
    constraint: Constraint = "demographic_parity",
    eps: Positive = 0.02,
    max_iterations: PositiveInt = 10,
    loss: LossFn = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: Duration = 100,
    batch_size: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """A randomised fair classifier of copies of the model (Agarwal et al. 2018), fitted to the training split.

    Each copy is trained for `steps` from the model's weights, on labels and weights that the constraint asks for;
    see `atml_exp.exponentiated_gradient`, for `eps` too. The loss must be a mean over examples and not one of
    groups. `train_` and `test_`, each with `_before` (the model itself, threshold ½) and `_expected` (over the
    draw of a copy, in closed form): `accuracy`; `demographic_parity`, the largest less the smallest P(Ŷ = 1) over
    groups; `equalised_odds`, the same of TPR or FPR, whichever differs more. `copies`: how many are mixed; `calls`:
    how many were trained.

    ValueError as of `atml_exp.probes.fairness.scored`, and where a copy diverges.
    """
    net = Net(model, loss, optimiser, steps, batch_size, seed)
    fair = reduced(
        net,
        *_arrays(data.train),
        constraint=constraint,
        eps=eps,
        max_iterations=max_iterations,
    )
    found: dict[str, Value] = {"copies": float(len(fair.learners)), "calls": float(fair.calls)}
    for name, split in (("train", data.train), ("test", data.test)):
        before = scored(model, split)
        decisions = {"before": before.scores >= 0.5, "expected": _decided(fair, split)}
        for kind, decided in decisions.items():
            found |= {f"{name}_{key}_{kind}": value for key, value in _judged(before, decided).items()}
    return found


def _arrays(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if split.group is None:
        raise ValueError("fairness compares groups: these examples have none (set the dataset's group column)")
    x, y, group = (t.detach().cpu().numpy() for t in (split.x, split.y, split.group))
    return x, y, group


def _decided(fair: Randomised, split: Split) -> np.ndarray:
    return fair.probabilities(split.x.detach().cpu().numpy())


def _judged(split: Scored, decided: np.ndarray) -> dict[str, float]:
    by_group = rates(split, decided)
    right = np.where(split.labels == 1, decided, 1 - decided)
    gaps = {str(name): float(gap(by_group.T[columns]).max()) for name, columns in COMPARED.items()}
    return {"accuracy": float(right.mean()), **gaps}
