"""MNIST-1D: ten short curves, each example one of them stretched, moved and buried in noise."""

import torch
from torch import Generator, Tensor

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import balanced_labels, stream, uniform
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt, ProperFraction

__all__ = ["mnist1d", "templates"]

LENGTH = 40
SMOOTHING = 2.0  # width of the kernel that smooths the correlated noise, in samples

CURVES = (
    (0, 3, 5, 6, 7, 7, 7, 7, 6, 5, 3, 0),
    (0, -5, -4, -3, -2, -1, 0, 1, 2, 3, 2, 0),
    (0, 4, 6, 5, 2, 0, -2, -4, -5, -4, -2, 0),
    (0, 4, 6, 5, 2, 0, 0, 2, 5, 6, 4, 0),
    (0, -2, -4, -6, -8, -8, 4, 4, 0, 0, 0, 0),
    (0, -6, -6, -6, -1, 4, 6, 6, 5, 3, 1, 0),
    (0, -3, -5, -7, -8, -8, -6, -3, 2, 5, 3, 0),
    (0, 6, 6, 5, 4, 3, 2, 1, 0, -1, -1, 0),
    (0, 6, 4, -2, -6, -3, 3, 6, 2, -4, -6, 0),
    (0, 6, 8, 6, 0, -2, -3, -3, -3, -3, -2, 0),
)


def mnist1d(
    *,
    padding_min: PositiveInt = 36,
    padding_max: PositiveInt = 60,
    max_translation: NonNegativeInt = 48,
    scale: ProperFraction = 0.2,
    shear: NonNegative = 1.0,
    correlated_noise: NonNegative = 0.5,
    white_noise: NonNegative = 0.1,
    num_train: PositiveInt = 4000,
    num_test: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """x (N, 40) float64, y in 0 … 9 (after Greydanus 2020, 'Scaling down deep learning').

    A template of 12 samples (`templates`, unit std) is padded with zeros by a random integer in
    [padding_min, padding_max], moved circularly by one in [0, max_translation], down-sampled to 40 samples,
    multiplied by a factor uniform in 1 ± scale, tilted by a straight line from −a to a with a uniform in ±shear,
    and buried in Gaussian noise: smooth (std correlated_noise, kernel width 2 samples) and white (std white_noise).

    The templates are our own drawings and the amplitudes are stated relative to them, so accuracies resemble the
    paper's and are not comparable with them to the percent. Class counts differ by at most one.
    """
    if padding_min > padding_max:
        raise ConfigError(
            f"dataset.padding_min={padding_min} is above dataset.padding_max={padding_max}: it must not be"
        )

    def sample(purpose: str, num_examples: int) -> Split:
        generator = stream(seed, f"mnist1d/{purpose}")
        y = balanced_labels(num_examples, len(CURVES))
        column = (num_examples, 1)
        padding = torch.randint(padding_min, padding_max + 1, column, generator=generator)
        shift = torch.randint(0, max_translation + 1, column, generator=generator)
        x = uniform(1 - scale, 1 + scale, column, generator) * _placed(templates()[y], padding, shift)
        x += uniform(-shear, shear, column, generator) * torch.linspace(-1, 1, LENGTH, dtype=x.dtype)
        x += correlated_noise * _smooth_noise(num_examples, generator)
        x += white_noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return Split(x, y)

    return Dataset("mnist1d", sample("train", num_train), sample("test", num_test), num_classes=len(CURVES))


def templates() -> Tensor:
    """The ten curves (10, 12), float64: zero at both ends, standard deviation (/N) 1."""
    curves = torch.tensor(CURVES, dtype=torch.float64)
    return curves / curves.std(1, correction=0, keepdim=True)


def _placed(curves: Tensor, padding: Tensor, shift: Tensor) -> Tensor:
    """Curves (N, 12) padded to 12 + padding, rolled by shift, and sampled linearly at 40 places: (N, 40)."""
    last = curves.shape[1] - 1
    length = curves.shape[1] + padding
    place = torch.linspace(0, 1, LENGTH, dtype=curves.dtype) * (length - 1) - shift
    place = place.remainder(length).clamp(max=last)  # beyond its last sample a curve is 0, as that sample is
    left = place.floor().long().clamp(max=last - 1)
    weight = place - left
    return (1 - weight) * curves.gather(1, left) + weight * curves.gather(1, left + 1)


def _smooth_noise(num_examples: int, generator: Generator) -> Tensor:
    """White noise circularly smoothed by a Gaussian kernel, (N, 40), standard deviation 1 at each place."""
    place = torch.arange(LENGTH, dtype=torch.float64)
    gap = (place[:, None] - place).abs()
    kernel = (-0.5 * (torch.minimum(gap, LENGTH - gap) / SMOOTHING) ** 2).exp()
    kernel /= kernel.norm(dim=0)
    return torch.randn(num_examples, LENGTH, generator=generator, dtype=torch.float64) @ kernel
