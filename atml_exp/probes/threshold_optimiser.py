"""Fairness after training: thresholds by group, randomised, that make rates equal at the least cost."""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from atml_exp.data import Dataset, compares_groups, suits
from atml_exp.fields import NonNegativeInt, OpenFraction
from atml_exp.probe import Value
from atml_exp.probes.fairness import Scored, gap, scored

__all__ = ["Rule", "decision_probabilities", "fit_rules", "rates", "threshold_optimiser"]

Constraint = Literal["equalised_odds", "demographic_parity"]
COMPARED: dict[Constraint, list[int]] = {"equalised_odds": [1, 2], "demographic_parity": [0]}
"""Columns of `rates` that a constraint makes equal."""


class Rule(NamedTuple):
    """How a group is decided on: P(Ŷ = 1 | s) = w·c + (1 − w)·(p₀·1[s > t₀] + p₁·1[s > t₁]), with p₀ + p₁ = 1.

    A mixture of two neighbouring corners of the group's ROC hull and, with probability `ignored` w, of a coin with
    probability `constant` c. Thresholds that no score reaches are 2, those below all are −1.
    """

    ignored: float
    constant: float
    p0: float
    threshold0: float
    p1: float
    threshold1: float


@compares_groups
@suits("binary")
def threshold_optimiser(
    model: nn.Module,
    data: Dataset,
    *,
    constraint: Constraint = "equalised_odds",
    threshold: OpenFraction = 0.5,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Equalised odds by post-processing (Hardt, Price & Srebro 2016), or demographic parity, of P(Y = 1 | x).

    The most accurate randomised `Rule` for each group under the constraint is fitted to the training split (by
    fairlearn, in steps of 1/1000 of the rate that is made equal) and judged on it and on the test split; keys
    begin with `train_` or `test_`. Before: one `threshold` for all, Ŷ = 1 where the score is at least it.
    `expected`: the rule's expectation over its coins, in closed form; `sampled`: one throw of them, from `seed`.

    `…accuracy_before`, `…accuracy_expected`, `…accuracy_sampled`, and `…gap_before`, `…gap_expected`,
    `…gap_sampled`: the largest less the smallest rate over groups, of TPR or FPR whichever differs more (equalised
    odds) or of selection (demographic parity). `train_gap_expected` is 0 up to rounding; the test split's isn't.
    Arrays: `…rates_before`, `…rates_expected`, `…rates_sampled` (G, 3): selection, FPR and TPR of each group in
    the order of `group`; `…rates_error`, standard errors of the sampled ones given the data; `rules` (G, 6), see
    `Rule`.

    ValueError as of `atml_exp.probes.fairness.scored`, where the two splits have other groups, and where a group
    has examples of one class only.
    """
    splits = {"train": scored(model, data.train), "test": scored(model, data.test)}
    _check_classes(splits)
    rules = fit_rules(splits["train"], constraint)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Value] = {"group": torch.tensor(list(rules)), "rules": torch.tensor(list(rules.values()))}
    for name, split in splits.items():
        q = decision_probabilities(split, rules)
        thrown = torch.rand(len(q), generator=generator, dtype=torch.float64).numpy() < q
        decisions = {"before": split.scores >= threshold, "expected": q, "sampled": thrown}
        for kind, decided in decisions.items():
            found |= {f"{name}_{key}_{kind}": v for key, v in _judged(split, decided, constraint).items()}
        found[f"{name}_rates_error"] = torch.from_numpy(_errors(split, q))
    return found


def fit_rules(train: Scored, constraint: Constraint = "equalised_odds") -> dict[int, Rule]:
    """The most accurate rule for each group under the constraint, found by fairlearn's `ThresholdOptimizer`."""
    from fairlearn.postprocessing import ThresholdOptimizer  # takes a second to import

    named = "equalized_odds" if constraint == "equalised_odds" else constraint
    found = ThresholdOptimizer(estimator=_identity(), constraints=named, prefit=True, predict_method="predict")
    found.fit(train.scores[:, None], train.labels, sensitive_features=train.groups)
    mixtures = found.interpolated_thresholder_.interpolation_dict
    return {int(g): _rule(mixtures[g]) for g in sorted(mixtures)}


def _identity() -> Any:
    """What fairlearn calls an estimator: one that gives back the scores that it is given."""
    from sklearn.preprocessing import FunctionTransformer

    estimator = FunctionTransformer()
    estimator.predict = lambda x: np.asarray(x)[:, 0]
    return estimator


def _rule(mixture: Any) -> Rule:
    fields = dict(mixture)
    t0, t1 = (float(np.clip(fields[f"operation{i}"].threshold, -1, 2)) for i in (0, 1))
    ignored, constant = float(fields.get("p_ignore", 0)), float(fields.get("prediction_constant", 0))
    return Rule(ignored, constant, float(fields["p0"]), t0, float(fields["p1"]), t1)


def decision_probabilities(split: Scored, rules: dict[int, Rule]) -> np.ndarray:
    """P(Ŷ = 1 | s, group) of each example (N,), over the rule's coins.

    >>> split = Scored(np.array([0.2, 0.6]), np.array([0, 1]), np.array([0, 0]))
    >>> decision_probabilities(split, {0: Rule(0.5, 0.4, 0.25, 0.5, 0.75, 0.1)}).round(6).tolist()
    [0.575, 0.7]
    """
    q = np.empty(len(split.scores))
    for g, rule in rules.items():
        s = split.scores[split.groups == g]
        mixed = rule.p0 * (s > rule.threshold0) + rule.p1 * (s > rule.threshold1)
        q[split.groups == g] = rule.ignored * rule.constant + (1 - rule.ignored) * mixed
    return q


def rates(split: Scored, decided: np.ndarray) -> np.ndarray:
    """(G, 3): P(Ŷ = 1), FPR and TPR by group, of decisions (N,) that are 0 or 1, or of their probabilities."""
    return np.array([[decided[m].mean() for m in masks] for masks in _masks(split)])


def _errors(split: Scored, q: np.ndarray) -> np.ndarray:
    """(G, 3): √(Σ q(1 − q))/n, the standard errors of `rates` of independent throws with probabilities q."""
    variance = q * (1 - q)
    return np.array([[variance[m].sum() ** 0.5 / m.sum() for m in masks] for masks in _masks(split)])


def _masks(split: Scored) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each group: all of it, its negatives, its positives."""
    of = [split.groups == g for g in np.unique(split.groups)]
    return [(m, m & (split.labels == 0), m & (split.labels == 1)) for m in of]


def _judged(split: Scored, decided: np.ndarray, constraint: Constraint) -> dict[str, Value]:
    by_group = rates(split, decided)
    right = np.where(split.labels == 1, decided, 1 - decided)
    return {
        "accuracy": float(right.mean()),
        "gap": float(gap(by_group.T[COMPARED[constraint]]).max()),
        "rates": torch.from_numpy(by_group),
    }


def _check_classes(splits: dict[str, Scored]) -> None:
    groups = {name: np.unique(split.groups).tolist() for name, split in splits.items()}
    if groups["train"] != groups["test"]:
        raise ValueError(
            f"groups are {groups['train']} in training and {groups['test']} in test: they must be equal"
        )
    for name, split in splits.items():
        for g, (_, negatives, positives) in zip(groups[name], _masks(split), strict=True):
            if not negatives.any() or not positives.any():
                raise ValueError(
                    f"group {g} of the {name} split has examples of one class only: no rate to make equal"
                )
