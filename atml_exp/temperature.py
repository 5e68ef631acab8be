"""Temperature scaling: one number that divides all logits, fitted on examples that aren't measured."""

import math

import torch
from torch import Tensor

from atml_exp.linalg import as_float64

__all__ = ["COLDEST", "HOTTEST", "as_logits", "best_temperature", "cross_fitted"]

COLDEST, HOTTEST = 1e-4, 1e4
"""What a temperature is sought between."""


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """argmin_T (1/N) Σ −log softmax(o_i/T)[y_i] for logits (N, C) and classes (N,), to 1e-9 of itself; float64.

    The loss is convex in 1/T (Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, §4.2):
    its derivative Σ(⟨softmax(o/T), o⟩ − o_y) is bisected. Where the loss has no minimum inside (all answers are
    right, or worse than guessing) the nearer of COLDEST and HOTTEST, as where all logits are equal HOTTEST is. Of
    logits that are k times as large it is k times as large. ValueError for other shapes or logits that aren't
    finite.

    >>> odds = torch.tensor([[math.log(3.0), 0.0]] * 4)  # three of four are right, and so it says
    >>> round(best_temperature(5 * odds, torch.tensor([0, 0, 0, 1])), 6)
    5.0
    """
    if logits.dim() != 2 or labels.shape != logits.shape[:1] or len(labels) == 0 or labels.is_floating_point():
        raise ValueError(
            f"logits must be (N, C) and labels (N,) of integers with N ≥ 1; got {tuple(logits.shape)} and "
            f"{tuple(labels.shape)} of {labels.dtype}"
        )
    o = as_float64(logits)
    if not bool(o.isfinite().all()):
        raise ValueError("logits hold values that aren't finite")
    own = o.gather(1, labels[:, None])[:, 0]
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    while high - low > 1e-9:
        middle = (low + high) / 2
        falls = float((((math.exp(middle) * o).softmax(1) * o).sum(1) - own).mean()) < 0
        low, high = (middle, high) if falls else (low, middle)
    return math.exp(-(low + high) / 2)


def cross_fitted(logits: Tensor, labels: Tensor, seed: int = 0) -> tuple[Tensor, float]:
    """The logits (N, C), each half divided by the best temperature of the other, and the halves' geometric mean.

    So no temperature is fitted to the examples that it is judged by, and all are judged. The halves are drawn by
    `seed`. ValueError as of `best_temperature`, and for fewer than two examples.
    """
    if len(logits) < 2:
        raise ValueError(f"{len(logits)} examples can't be halved: at least 2 are needed")
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed)).to(logits.device)
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled, temperatures = as_float64(logits).clone(), []
    for fitted, judged in (halves, halves[::-1]):
        temperatures.append(best_temperature(logits[fitted], labels[fitted]))
        scaled[judged] /= temperatures[-1]
    return scaled, math.sqrt(math.prod(temperatures))


def as_logits(outputs: Tensor) -> Tensor:
    """Outputs (N, C) as they are; one output o (N, 1) as (0, o). ValueError for other shapes."""
    if outputs.dim() != 2:
        raise ValueError(f"outputs must be (N, C); got {tuple(outputs.shape)}")
    return torch.cat([torch.zeros_like(outputs), outputs], 1) if outputs.shape[1] == 1 else outputs
