"""How far classes have collapsed at each layer: variability, and what the nearest class centre tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.data import Dataset, Split, suits
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import layer_inputs

__all__ = ["layer_collapse"]


@suits("classification", "binary")
def layer_collapse(model: nn.Module, data: Dataset) -> dict[str, Value]:
    """Of what each linear or convolutional layer is given, in eval mode, by depth: arrays (L,), the input first.

    nc1: Tr(Σ_W Σ_B†)/C of the training set, as in `neural_collapse`; NaN where all class means coincide.
    cdnv, test_cdnv: the class-distance normalised variance of either split about its own class means, the mean over
        c ≠ c′ of (σ_c² + σ_c′²)/(2‖μ_c − μ_c′‖²) (Galanti, György & Hutter 2022, On the role of neural collapse in
        transfer learning).
    error, test_error: the fraction of either split that is nearer to another class's mean over the *training* set
        than to its own class's (Cohen, Sapiro & Giryes 2018, DNN or k-NN; Ben-Shaul & Dekel 2022, Nearest
        class-center simplification through intermediate layers).

    In float64, in two passes over the data, so that no features are kept. Raises ValueError where a split lacks a
    class, and where the model has no such layer.
    """
    c = int(data.num_classes or 0)
    centres = _means(model, data.train, c, "training")
    train = _layers(model, data.train, centres, centres)
    test = _layers(model, data.test, _means(model, data.test, c, "test"), centres)
    found = {
        "nc1": [layer.nc1 for layer in train],
        "cdnv": [layer.cdnv for layer in train],
        "error": [layer.error for layer in train],
        "test_cdnv": [layer.cdnv for layer in test],
        "test_error": [layer.error for layer in test],
    }
    return {key: torch.tensor(values, dtype=torch.float64) for key, values in found.items()}


class _Layer(NamedTuple):
    nc1: float
    cdnv: float
    error: float


def _means(model: nn.Module, split: Split, num_classes: int, which: str) -> dict[str, Tensor]:
    """The class means (C, D) of each layer's inputs."""
    counts = torch.bincount(split.y, minlength=num_classes)
    if missing := (counts == 0).nonzero().flatten().tolist():
        raise ValueError(
            f"no example of the {which} set is of class {missing[0]}: each of the {num_classes} needs one"
        )
    sums: dict[str, Tensor] = {}
    for inputs, y in _batches(model, split):
        members = one_hot(y, num_classes)
        for name, h in inputs.items():
            wide = as_float64(h)
            total = members.to(wide).T @ wide
            sums[name] = sums[name] + total if name in sums else total
    return {name: total / counts.to(total)[:, None] for name, total in sums.items()}


def _batches(model: nn.Module, split: Split) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    start = 0
    for inputs in layer_inputs(model, split.x):
        size = len(next(iter(inputs.values())))
        yield inputs, split.y[start : start + size]
        start += size


def _layers(model: nn.Module, split: Split, means: dict[str, Tensor], centres: dict[str, Tensor]) -> list[_Layer]:
    """Of each layer. means: of this split's classes; centres: those that it is classified by."""
    sums = {name: _Sums.about(means[name], centres[name]) for name in means}
    for inputs, y in _batches(model, split):
        for name, h in inputs.items():
            sums[name].add(as_float64(h), y.to(sums[name].means.device))
    counts = torch.bincount(split.y)
    return [sums[name].layer(counts) for name in means]


@dataclass
class _Sums:
    """Over the examples so far: ‖h − μ_y‖² of each class, ((h − μ_y)·v)² along directions, errors."""

    means: Tensor
    centres: Tensor
    directions: Tensor
    lengths: Tensor
    spread: Tensor
    along: Tensor
    errors: int = 0

    @classmethod
    def about(cls, means: Tensor, centres: Tensor) -> "_Sums":
        _, s, v = torch.linalg.svd(means - means.mean(0), full_matrices=False)
        rounding = torch.finfo(torch.float32).eps * means.abs().max() * means.numel() ** 0.5
        rank = min(int((s > rounding).sum()), len(means) - 1)
        directions, lengths = v[:rank].T, s[:rank]
        return cls(means, centres, directions, lengths, means.new_zeros(len(means)), means.new_zeros(rank))

    def add(self, h: Tensor, y: Tensor) -> None:
        within = h - self.means[y]
        self.spread.index_add_(0, y, within.square().sum(1))
        self.along += (within @ self.directions).square().sum(0)
        nearest = (h @ self.centres.T - self.centres.square().sum(1) / 2).argmax(1)
        self.errors += int((nearest != y).sum())

    def layer(self, counts: Tensor) -> _Layer:
        n = int(counts.sum())
        variances = self.spread / counts.to(self.spread)
        distances = (self.means[:, None] - self.means).square().sum(-1)
        other = ~torch.eye(len(counts), dtype=torch.bool, device=distances.device)
        cdnv = ((variances[:, None] + variances) / (2 * distances))[other].mean().item()
        nc1 = (self.along / self.lengths.square()).sum().item() / n if len(self.lengths) else float("nan")
        return _Layer(nc1, cdnv, self.errors / n)
