"""Fairness between groups of examples: what each definition of it compares, with intervals."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from atml_exp.data import Split, compares_groups, suits
from atml_exp.fields import NonNegativeInt, OpenFraction, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.calibration import probabilities_of
from atml_exp.probes.features import predict

__all__ = ["Scored", "fairness", "gap", "group_rates", "interval", "lipschitz_constant", "resampled", "scored"]

GAPS = {
    "demographic_parity": ("selection",),
    "equal_opportunity": ("tpr",),
    "equalised_odds": ("tpr", "fpr"),
    "predictive_parity": ("ppv",),
    "calibration": ("calibration_error",),
    "balance_positive": ("positive_mean",),
    "balance_negative": ("negative_mean",),
}
"""Definition: by-group quantities of which the largest gap counts."""


class Scored(NamedTuple):
    """Of N examples, numpy arrays (N,): the score P(Y = 1 | x) that a model gives, the label and the group."""

    scores: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


@compares_groups
@suits("binary")
def fairness(
    model: nn.Module,
    data: Split,
    *,
    threshold: OpenFraction = 0.5,
    bins: PositiveInt = 10,
    draws: PositiveInt = 200,
    level: OpenFraction = 0.95,
    max_examples: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Gaps between groups under seven definitions of fairness, of a model of two classes; float64, eval mode.

    The score s is the softmax's (with one output, the sigmoid's) probability of class 1, the decision Ŷ = 1 where
    s ≥ `threshold`. By group, arrays (G,) in the order of `group`, their numbers: `selection` P(Ŷ = 1), `tpr`,
    `fpr`, `ppv` (see `group_rates`), `calibration_error`, `positive_mean` E[s | Y = 1] and `negative_mean`
    E[s | Y = 0]; besides `count`, `base_rate`, `mean_score`, and `confusion` (G, 4): true and false positives,
    false and true negatives. The gaps, the largest less the smallest over groups:

    - `demographic_parity`: of selection (Calders, Kamiran & Pechenizkiy 2009);
    - `equal_opportunity`: of tpr; `equalised_odds`: max of those of tpr and fpr (Hardt, Price & Srebro 2016);
    - `predictive_parity`: of ppv (Chouldechova 2017);
    - `calibration`: of calibration errors, Σ_b (n_b/n) |mean of s − mean of Y| over `bins` bins of equal width of
      s; `calibration_worst` is the largest of them. Each error is biased upwards for few examples;
    - `balance_positive`, `balance_negative`: of the class means of s (Kleinberg, Mullainathan & Raghavan 2016).

    `…_low`, `…_high`: percentile interval at `level` of each gap, of `draws` bootstrap samples drawn within groups.
    A gap is not negative: where groups are equal both it and its interval lie above 0. `lipschitz`: individual
    fairness (Dwork et al. 2012), see `lipschitz_constant`, of `lipschitz_examples` examples.

    A quantity that is undefined in a group (ppv where nobody is selected) is left out, with the gaps that need it,
    and `undefined` counts such quantities; intervals are over the samples in which the gap is defined. ValueError
    without groups, with one group only, and for other than two classes.
    """
    found = scored(model, data)
    sums = _sums(found, threshold, bins)
    by_group = _quantities(np.stack([s.sum(0) for s in sums]))
    rng = np.random.default_rng(seed)
    samples = _quantities(np.stack([resampled(s, draws, rng) for s in sums], 1))
    chosen = _chosen(len(found.labels), max_examples, rng)
    return {
        "group": torch.from_numpy(np.unique(found.groups)),
        **_defined(by_group),
        **_gaps(by_group, samples, level),
        "undefined": float(sum(not np.isfinite(v).all() for v in by_group.values())),
        "lipschitz": lipschitz_constant(torch.from_numpy(found.scores[chosen]), as_float64(data.x)[chosen]),
        "lipschitz_examples": float(len(chosen)),
    }


def scored(model: nn.Module, data: Split) -> Scored:
    """The model's probability of class 1 in float64, eval mode, with labels and groups.

    ValueError without groups, with one group only, and for other than two classes.
    """
    if data.group is None:
        raise ValueError("fairness compares groups: these examples have none (set the dataset's group column)")
    probabilities = probabilities_of(as_float64(predict(model, data.x)))
    if probabilities.shape[1] != 2:
        raise ValueError(f"fairness is of two classes; the model has {probabilities.shape[1]} outputs")
    scores, labels, groups = (np.atleast_1d(_array(t)) for t in (probabilities[:, 1], data.y, data.group))
    _checked(labels, labels, groups)
    if len(np.unique(groups)) < 2:
        raise ValueError(f"all {len(groups)} examples are of group {groups[0]}: a gap needs two groups")
    return Scored(scores, labels, groups)


def _sums(found: Scored, threshold: float, bins: int) -> list[np.ndarray]:
    """For each group the terms (n, 6 + bins) whose sums determine every quantity below."""
    s, y, answers = found.scores, found.labels.astype(np.float64), (found.scores >= threshold).astype(np.float64)
    place = np.minimum((s * bins).astype(np.int64), bins - 1)
    excess = np.zeros((len(s), bins))
    excess[np.arange(len(s)), place] = s - y
    cells = [answers * y, answers * (1 - y), (1 - answers) * y, (1 - answers) * (1 - y)]
    terms = np.column_stack([*cells, s * y, s * (1 - y), excess])
    return [terms[found.groups == g] for g in np.unique(found.groups)]


def _quantities(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Of sums (…, G, 6 + bins), by group (…, G), NaN where undefined; `confusion` (…, G, 4)."""
    tp, fp, fn, tn, positive, negative = np.moveaxis(sums[..., :6], -1, 0)
    count = tp + fp + fn + tn
    return {
        "confusion": sums[..., :4],
        "count": count,
        "base_rate": _ratio(tp + fn, count),
        "selection": _ratio(tp + fp, count),
        "tpr": _ratio(tp, tp + fn),
        "fpr": _ratio(fp, fp + tn),
        "ppv": _ratio(tp, tp + fp),
        "calibration_error": _ratio(np.abs(sums[..., 6:]).sum(-1), count),
        "mean_score": _ratio(positive + negative, count),
        "positive_mean": _ratio(positive, tp + fn),
        "negative_mean": _ratio(negative, fp + tn),
    }


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _defined(by_group: Mapping[str, np.ndarray]) -> dict[str, Value]:
    return {name: torch.from_numpy(v.copy()) for name, v in by_group.items() if np.isfinite(v).all()}


def _gaps(by_group: Mapping[str, np.ndarray], samples: Mapping[str, np.ndarray], level: float) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, of in GAPS.items():
        value = float(np.max([gap(by_group[q]) for q in of]))
        if np.isfinite(value):
            low, high = interval(np.max([gap(samples[q]) for q in of], 0), level)
            found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return {**found, "calibration_worst": float(by_group["calibration_error"].max())}


def gap(by_group: np.ndarray) -> np.ndarray:
    """The largest less the smallest along the last axis; NaN where one is NaN.

    >>> float(gap(np.array([0.25, 0.75, 0.5])))
    0.5
    """
    return np.asarray(by_group.max(-1) - by_group.min(-1))


def resampled(terms: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Sums (draws, K) of the rows of terms (n, K), n rows drawn with replacement each time: the bootstrap."""
    n = len(terms)
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), draws).astype(np.float64) @ terms)


def interval(samples: np.ndarray, level: float) -> tuple[float, float]:
    """The percentile interval at a level of the samples that are numbers (Efron & Tibshirani 1993, ch. 13).

    ValueError where none is.

    >>> interval(np.linspace(0, 1, 101), 0.5)
    (0.25, 0.75)
    """
    numbers = samples[np.isfinite(samples)]
    if not len(numbers):
        raise ValueError(f"none of {samples.size} bootstrap samples gives a number: more are needed")
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _chosen(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All of n examples, or so many of them at random."""
    return np.arange(n) if n <= most else np.sort(rng.permutation(n)[:most])


def lipschitz_constant(scores: Tensor, x: Tensor, *, rows: PositiveInt = 256) -> float:
    """max |s(x) − s(x′)| / ‖x − x′‖ over all pairs of examples; scores (N,), x (N, …), flattened, Euclidean.

    Individual fairness asks that similar people be treated similarly: at most a stated multiple of their distance
    apart (Dwork, Hardt, Pitassi, Reingold & Zemel 2012, Definition 2.1; for a yes-or-no decision the statistical
    distance is |s − s′|). The metric is the one of the model's inputs, as they are scaled; groups don't enter. On a
    sample it is a lower bound of the function's constant. Pairs at distance 0 don't count; 0 where there are no
    others. rows: examples compared with all others at a time. ValueError for other shapes.

    >>> lipschitz_constant(torch.tensor([0.0, 0.5, 0.6]), torch.tensor([[0.0], [1.0], [4.0]]))
    0.5
    """
    if scores.dim() != 1 or len(scores) != len(x) or not len(x):
        shapes = f"{tuple(scores.shape)} and {tuple(x.shape)}"
        raise ValueError(f"scores must be (N,) and x (N, …) with N ≥ 1; got {shapes}")
    flat, found = as_float64(x).flatten(1), 0.0
    s = as_float64(scores).to(flat.device)
    for some, of in zip(flat.split(rows), s.split(rows), strict=True):
        distance = torch.cdist(some, flat, compute_mode="donot_use_mm_for_euclid_dist")
        quotient = (of[:, None] - s).abs() / torch.where(distance > 0, distance, torch.inf)
        found = max(found, float(quotient.max()))
    return found


def group_rates(
    labels: Tensor | ArrayLike, predictions: Tensor | ArrayLike, groups: Tensor | ArrayLike
) -> pd.DataFrame:
    """Rates of a yes-or-no prediction by group; each argument (N,), labels and predictions 0 or 1, 1 the positive.

    A row for each group that occurs, in order, with the columns `count`, `base_rate` P(Y = 1), `tpr`
    P(Ŷ = 1 | Y = 1), `fpr` P(Ŷ = 1 | Y = 0), `fnr` = 1 − tpr and `ppv` P(Y = 1 | Ŷ = 1). A rate that is undefined
    (of a group without positives, without negatives, without predicted positives) is NaN, never 0. ValueError for
    arguments of unequal length or of none, and for other labels and predictions than 0 and 1.

    >>> rates = group_rates([1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1])
    >>> rates[["count", "tpr", "ppv"]].to_dict("list")
    {'count': [4, 2], 'tpr': [0.5, 0.0], 'ppv': [0.5, nan]}
    """
    y, answers, of = _checked(labels, predictions, groups)
    return pd.DataFrame(
        [_rates(y[of == g], answers[of == g]) for g in np.unique(of)], index=pd.Index(np.unique(of), name="group")
    )


def _rates(y: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """A row of `group_rates`."""
    tpr = _mean(answers[y == 1])
    return {
        "count": len(y),
        "base_rate": _mean(y),
        "tpr": tpr,
        "fpr": _mean(answers[y == 0]),
        "fnr": 1 - tpr,
        "ppv": _mean(y[answers == 1]),
    }


def _mean(values: np.ndarray) -> float:
    """NaN of no values."""
    return float(values.mean()) if len(values) else float("nan")


def _checked(labels: object, predictions: object, groups: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All three as int64 arrays (N,)."""
    y, answers, of = (_array(v) for v in (labels, predictions, groups))
    if not len(y) or not y.shape == answers.shape == of.shape == (len(y),):
        raise ValueError(
            f"labels, predictions and groups must be (N,), of one length N ≥ 1; got {y.shape}, {answers.shape} and "
            f"{of.shape}"
        )
    for name, values in (("labels", y), ("predictions", answers)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{name} hold {values[~np.isin(values, (0, 1))][0]}: they must be 0 or 1")
    return y.astype(np.int64), answers.astype(np.int64), of


def _array(values: object) -> np.ndarray:
    return np.atleast_1d(values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values))
