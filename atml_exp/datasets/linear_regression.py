"""Gaussian inputs of a given covariance spectrum and a linear teacher: regression whose every risk is known."""

from collections.abc import Sequence

import torch
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt

__all__ = ["eigenvalues", "linear_regression", "optimal_weights"]


def linear_regression(
    *,
    dimension: PositiveInt = 20,
    spectrum: NonNegative | list[NonNegative] = 1.0,
    noise_std: NonNegative = 0.1,
    num_train: PositiveInt = 200,
    num_test: PositiveInt = 1000,
    teacher: list[float] | None = None,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """y = x·w* + noise: x (N, D) ~ N(0, diag λ), noise ~ N(0, noise_std²), y (N,), all float64.

    The coordinate axes are the covariance's eigenvectors and λ is `eigenvalues(spectrum, D)`; w* is
    `teacher`, D numbers, by default `optimal_weights(D, seed)`. The expected squared error of w, without a factor
    ½, is Σ_i λ_i(w_i − w*_i)² + noise_std². ConfigError where spectrum or teacher lists other than D numbers.
    """
    scale = eigenvalues(spectrum, dimension).sqrt()
    weights = optimal_weights(dimension, seed) if teacher is None else torch.tensor(teacher, dtype=torch.float64)
    if len(weights) != dimension:
        raise ConfigError(
            f"dataset.teacher lists {len(weights)} weights and dataset.dimension={dimension}: they must be equal"
        )

    def sample(purpose: str, num_examples: int) -> Split:
        generator = stream(seed, f"linear_regression/{purpose}")
        x = scale * torch.randn(num_examples, dimension, generator=generator, dtype=torch.float64)
        noise = noise_std * torch.randn(num_examples, generator=generator, dtype=torch.float64)
        return Split(x, x @ weights + noise)

    return Dataset("linear_regression", sample("train", num_train), sample("test", num_test), num_classes=None)


def eigenvalues(spectrum: float | Sequence[float], dimension: int, *, prefix: str = "dataset") -> Tensor:
    """Eigenvalues (D,): a number a is the power law λ_i = i^−a (0: all equal), or D values.

    prefix: the group whose config is at fault where the list is of another length.

    >>> eigenvalues(1, 4)
    tensor([1.0000, 0.5000, 0.3333, 0.2500], dtype=torch.float64)
    """
    if isinstance(spectrum, int | float):
        return torch.arange(1, dimension + 1, dtype=torch.float64) ** -float(spectrum)
    if len(spectrum) != dimension:
        raise ConfigError(
            f"{prefix}.spectrum lists {len(spectrum)} eigenvalues and {prefix}.dimension={dimension}: "
            "they must be equal (or give spectrum as one number, the power law's exponent)"
        )
    return torch.tensor([float(value) for value in spectrum], dtype=torch.float64)


def optimal_weights(dimension: int, seed: int) -> Tensor:
    """w* (D,), uniform on the unit sphere.

    >>> optimal_weights(5, seed=0).norm().item()
    1.0
    """
    generator = stream(seed, "linear_regression/weights")
    w = torch.randn(dimension, generator=generator, dtype=torch.float64)
    return w / w.norm()
