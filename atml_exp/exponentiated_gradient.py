"""Fair classifiers by reductions: a net trained again and again on changed labels and weights, and mixed."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from atml_exp.data import Split
from atml_exp.linalg import LossFn
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.probes.features import predict
from atml_exp.siblings import trained

__all__ = ["Constraint", "Learner", "Net", "Randomised", "exponentiated_gradient"]

Constraint = Literal["demographic_parity", "equalised_odds"]


class Learner(Protocol):
    """What scikit-learn calls a classifier, as far as it is needed here."""

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any: ...

    def predict(self, x: Any) -> Any: ...


@dataclass
class Net:
    """A `Learner` of two classes: a copy of `model` trained on from its weights by the runs' own loop.

    fit: x (N, …), y (N,) in {0, 1}, sample_weight (N,) or None, arrays; see `atml_exp.siblings.trained` for the
    rest. predict: the class of the larger output, or 1 where a single output is positive. Equal seeds give equal
    nets; `model` stays untouched.
    """

    model: nn.Module
    loss: LossFn = cross_entropy
    optimiser: Optimiser | None = None
    steps: int | str = 100
    batch_size: int | None = None
    seed: int = 0
    fitted: nn.Module | None = None

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> "Net":
        weight = None if sample_weight is None else self._tensor(sample_weight)
        data = Split(self._tensor(x), self._tensor(y).long(), weight=weight)
        self.fitted = trained(
            self.model,
            data,
            loss=self.loss,
            seed=self.seed,
            optimiser=self.optimiser,
            steps=self.steps,
            batch_size=self.batch_size,
        )
        return self

    def predict(self, x: Any) -> np.ndarray:
        if self.fitted is None:
            raise ValueError("this net predicts nothing before it is fitted")
        outputs = predict(self.fitted, self._tensor(x))
        chosen = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(1) == 1
        return np.asarray(chosen.cpu().numpy(), dtype=np.int64)

    def _tensor(self, values: Any) -> torch.Tensor:
        like = next(self.model.parameters())
        return torch.as_tensor(np.array(values)).to(like.device, like.dtype)


class Randomised(NamedTuple):
    """A classifier that draws one of its learners, with these probabilities, for each example anew.

    calls: how many learners were fitted on the way.
    """

    weights: np.ndarray
    learners: Sequence[Learner]
    calls: int

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """P(Ŷ = 1 | x) of each example (N,), over the draw."""
        answers = [w * np.asarray(h.predict(x)) for w, h in zip(self.weights, self.learners, strict=True)]
        return np.asarray(np.sum(answers, axis=0, dtype=np.float64))


def exponentiated_gradient(
    learner: Learner,
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    *,
    constraint: Constraint = "demographic_parity",
    eps: float = 0.02,
    max_iterations: int = 10,
) -> Randomised:
    """The randomised classifier of least error under a fairness constraint, by fairlearn's `ExponentiatedGradient`
    (Agarwal, Beygelzimer, Dudík, Langford & Wallach 2018, A reductions approach to fair classification, Alg. 1).

    A game between multipliers of the constraints, updated by exponentiated gradient, and copies of `learner` that
    answer them by cost-sensitive classification, here weighted examples with changed labels. x (N, D), y in {0, 1}
    and groups (N,), arrays. eps: how far a group's rate P(Ŷ = 1) (equalised odds: within each class) may lie from
    that of all together, so that two groups may differ by 2·eps; the multipliers' sum is bounded by 1/eps. With an
    exact learner and enough iterations error is within 2ν of the least; a net is an approximate one.
    ValueError for fewer than two groups, eps ≤ 0, and labels other than 0 and 1.
    """
    _check(y, groups, eps)
    from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient  # takes a second

    moment = DemographicParity if constraint == "demographic_parity" else EqualizedOdds
    game = ExponentiatedGradient(learner, moment(difference_bound=eps), eps=eps, max_iter=max_iterations)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Setting an? ", category=DeprecationWarning
        )  # pandas 3 of fairlearn
        game.fit(x, y, sensitive_features=groups)
    used = [t for t in sorted(game.weights_.index) if game.weights_[t] > 0]
    weights = np.array([float(game.weights_[t]) for t in used])
    return Randomised(weights / weights.sum(), [game.predictors_[t] for t in used], int(game.n_oracle_calls_))


def _check(y: np.ndarray, groups: np.ndarray, eps: float) -> None:
    if eps <= 0:
        raise ValueError(f"eps must be positive; got {eps}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1; got {np.unique(y).tolist()}")
    if len(np.unique(groups)) < 2:
        raise ValueError(f"all {len(groups)} examples are of one group: a constraint compares two")
