"""Neural collapse of 50,000 features of 512 units in 10 classes, against forming their two moments alone."""

from functools import partial

import torch
from measuring import Options, Row, interleaved, speed, wall
from torch import Tensor

from atml_exp.probes.neural_collapse import CollapseAccumulator

__all__ = ["measure"]

EXAMPLES, UNITS, CLASSES, CHUNK = 50_000, 512, 10, 1_000


def measure(options: Options) -> list[Row]:
    """All of NC1 to NC4 and the geometry, in float64 as always; the moments in float64 too."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (EXAMPLES,), generator=generator)
    means = torch.randn(CLASSES, UNITS, generator=generator)
    features = means[labels] + 0.3 * torch.randn(EXAMPLES, UNITS, generator=generator)
    weight, bias = torch.randn(CLASSES, UNITS, generator=generator), torch.zeros(CLASSES)
    times = interleaved(
        {
            "ours": lambda: wall(partial(_ours, features, labels, weight, bias)),
            "moments": lambda: wall(partial(_moments, features, labels)),
        },
        options.repeats,
    )
    what = f"collapse: {EXAMPLES:,} × {UNITS} features, {CLASSES} classes"
    return [speed(what, times["ours"], "the two moment matrices alone", times["moments"], 0.5)]


def _ours(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> None:
    accumulator = CollapseAccumulator()
    for x, y in zip(features.split(CHUNK), labels.split(CHUNK), strict=True):
        accumulator.update(x, y)
    accumulator.compute(weight, bias)


def _moments(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Class sums (C, D) and ΣhhT (D, D), of chunks as ours."""
    sums = torch.zeros(CLASSES, UNITS, dtype=torch.float64)
    second = torch.zeros(UNITS, UNITS, dtype=torch.float64)
    for x, y in zip(features.split(CHUNK), labels.split(CHUNK), strict=True):
        h = x.double()
        sums.index_add_(0, y, h)
        second.addmm_(h.T, h)
    return sums, second
