"""Two interleaved half circles: two classes that no line separates."""

import math

import torch

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import balanced_labels, stream, uniform
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt

__all__ = ["two_moons"]


def two_moons(
    *,
    noise: NonNegative = 0.1,
    num_train: PositiveInt = 1000,
    num_test: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """x (N, 2) float64, y in {0, 1} with counts that differ by at most one.

    With t uniform on [0, π]: class 0 is (cos t, sin t), class 1 is (1 − cos t, ½ − sin t), plus N(0, noise²·I):
    scikit-learn's moons, but with random angles, so that train and test are independent draws.
    """

    def sample(purpose: str, num_examples: int) -> Split:
        generator = stream(seed, f"two_moons/{purpose}")
        y = balanced_labels(num_examples, 2)
        t = uniform(0, math.pi, (num_examples,), generator)
        sign = 1 - 2 * y
        x = torch.stack([y + sign * t.cos(), y / 2 + sign * t.sin()], 1)
        return Split(x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype), y)

    return Dataset("two_moons", sample("train", num_train), sample("test", num_test), num_classes=2)
