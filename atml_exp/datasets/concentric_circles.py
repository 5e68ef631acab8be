"""Two circles about one centre: two classes that no line separates, and the radius does."""

import math

import torch

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import balanced_labels, stream, uniform
from atml_exp.datasets.splitting import OpenFraction
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt

__all__ = ["concentric_circles"]


def concentric_circles(
    *,
    inner_radius: OpenFraction = 0.5,
    noise: NonNegative = 0.1,
    num_train: PositiveInt = 1000,
    num_test: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """x (N, 2) float64, y in {0, 1} with counts that differ by at most one.

    Class 0 is uniform on the circle of radius 1, class 1 on that of `inner_radius`, plus N(0, noise²·I):
    E‖x‖² = r² + 2·noise², and both class means are 0.
    """

    def sample(purpose: str, num_examples: int) -> Split:
        generator = stream(seed, f"concentric_circles/{purpose}")
        y = balanced_labels(num_examples, 2)
        angle = uniform(0, 2 * math.pi, (num_examples,), generator)
        radius = 1 - (1 - inner_radius) * y
        x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        return Split(x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype), y)

    return Dataset("concentric_circles", sample("train", num_train), sample("test", num_test), num_classes=2)
