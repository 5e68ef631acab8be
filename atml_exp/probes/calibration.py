"""Calibration: of the answers given with confidence p, is a fraction p right?"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.temperature import as_logits, cross_fitted

__all__ = [
    "Reliability",
    "calibration",
    "error_if_calibrated",
    "expected_calibration_error",
    "probabilities_of",
    "reliability",
]


class Reliability(NamedTuple):
    """By confidence, each (bins,): how many examples, and their means, NaN in an empty bin."""

    counts: Tensor
    confidence: Tensor
    accuracy: Tensor


@suits("classification")
def calibration(
    model: nn.Module,
    data: Split,
    *,
    bins: PositiveInt = 15,
    temperature_scaling: bool = False,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Calibration of the softmax on `data` (of the sigmoid where there is one output), in float64, eval mode.

        ECE = Σ_b (n_b/N) |accuracy_b − confidence_b|

    `expected_error`: see `expected_calibration_error`. `confidence`, `accuracy`: means over all examples;
    `overconfidence` is their difference. `error_if_calibrated`: what the expected error would be on average of a
    perfectly calibrated model with these confidences, by `error_if_calibrated`: the estimator's bias, to be drawn
    beside it. `bin_count`, `bin_confidence`, `bin_accuracy` (bins,): the reliability diagram, 0 for the means of
    empty bins.

    temperature_scaling: the logits of each half of `data` are divided first by the temperature that is best on the
    other half (`atml_exp.temperature.cross_fitted`, with its `seed`, also of the simulation); no answer changes.
    """
    outputs = as_float64(predict(model, data.x))
    if temperature_scaling:
        outputs = cross_fitted(as_logits(outputs), data.y, seed)[0]
    probabilities = probabilities_of(outputs)
    found = reliability(probabilities, data.y, bins)
    highest, answers = probabilities.max(1)
    confidence, accuracy = float(highest.mean()), float((answers == data.y).double().mean())
    return {
        "expected_error": expected_calibration_error(probabilities, data.y, bins),
        "confidence": confidence,
        "accuracy": accuracy,
        "overconfidence": confidence - accuracy,
        "error_if_calibrated": error_if_calibrated(highest, bins, seed=seed),
        "bin_count": found.counts,
        "bin_confidence": found.confidence.nan_to_num(),
        "bin_accuracy": found.accuracy.nan_to_num(),
    }


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int) -> float:
    """Σ_b (n_b/N) |accuracy_b − confidence_b| over bins of equal width of the confidence, the largest probability.

    Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks, eq. 3; bins (0, 1/M], …,
    (1 − 1/M, 1]. Biased upwards for few examples: of a perfectly calibrated model it isn't 0 but of the order of
    √(M/N). See `reliability` for shapes and refusals.

    >>> p = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.15, 0.85], [0.35, 0.65]])
    >>> round(expected_calibration_error(p, torch.tensor([0, 1, 1, 1]), bins=10), 3)
    0.35
    """
    probabilities, labels = torch.as_tensor(probabilities), torch.as_tensor(labels)  # arrays are welcome
    found = reliability(probabilities, labels, bins)
    gaps = (found.accuracy - found.confidence).abs().nan_to_num()
    return float((found.counts * gaps).sum() / len(labels))


def error_if_calibrated(confidence: Tensor, bins: int, *, draws: PositiveInt = 200, seed: int = 0) -> float:
    """E[expected_calibration_error] where each answer is right with just its confidence (N,), by simulation.

    The mean over `draws` sets of answers; its standard error is a few per cent. Where a bin holds many examples its
    gap is a normal variable's, and the mean tends to Σ_b √(2/π · Σ_{i in b} p_i(1 − p_i))/N. ValueError where there
    is no example, for confidences outside [0, 1] and for bins < 1.

    >>> error_if_calibrated(torch.ones(50), 15)
    0.0
    """
    if confidence.dim() != 1 or len(confidence) == 0 or not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise ValueError(f"confidence must be (N,) in [0, 1] with N ≥ 1; got {tuple(confidence.shape)}")
    p = as_float64(confidence).cpu()
    drawn = torch.rand(draws, len(p), generator=torch.Generator().manual_seed(seed), dtype=p.dtype) < p
    sums = torch.zeros(draws, bins, dtype=p.dtype).index_add_(1, _place(p, bins), drawn.to(p) - p)
    return float(sums.abs().sum(1).mean() / len(p))


def reliability(probabilities: Tensor, labels: Tensor, bins: int) -> Reliability:
    """Count, mean confidence and accuracy in each of `bins` bins of equal width. Of equal maxima the first answers.

    probabilities (N, C), rows summing to 1 within 1e-4; labels (N,) integers 0 … C−1. ValueError otherwise, where
    there is no example, and for bins < 1.
    """
    _check(probabilities, labels, bins)
    p = as_float64(probabilities)
    confidence, answer = p.max(1)
    place = _place(confidence, bins)
    count = torch.bincount(place, minlength=bins)
    right = (answer == labels).to(p)
    sums = (p.new_zeros(bins).index_add_(0, place, values) for values in (confidence, right))
    return Reliability(count, *(total / count for total in sums))


def _place(confidence: Tensor, bins: int) -> Tensor:
    """The bin of each confidence; edges belong to the bin below."""
    if bins < 1:
        raise ValueError(f"bins is {bins}: it must be at least 1")
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=confidence.device)
    return torch.bucketize(confidence, edges[1:-1])


def probabilities_of(outputs: Tensor) -> Tensor:
    """The softmax (N, C) of outputs (N, C); of one output o (N, 1) the sigmoids σ(−o), σ(o) of the two classes."""
    if outputs.dim() != 2:
        raise ValueError(f"outputs must be (N, C); got {tuple(outputs.shape)}")
    return torch.cat([(-outputs).sigmoid(), outputs.sigmoid()], 1) if outputs.shape[1] == 1 else outputs.softmax(1)


def _check(probabilities: Tensor, labels: Tensor, bins: int) -> None:
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"probabilities must be (N, C) and labels (N,) with N ≥ 1; got {tuple(probabilities.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if labels.is_floating_point() or not 0 <= int(labels.min()) <= int(labels.max()) < probabilities.shape[1]:
        raise ValueError(f"labels must be integers from 0 to {probabilities.shape[1] - 1}")
    sums = probabilities.double().sum(1)
    if not bool((probabilities >= 0).all()) or not bool(((sums - 1).abs() <= 1e-4).all()):
        raise ValueError("each row of probabilities must be non-negative and sum to 1: are these logits?")
