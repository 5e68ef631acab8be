"""A small convolutional network."""

from typing import Literal

from torch import Tensor, nn

from atml_exp.errors import ConfigError
from atml_exp.fields import Positive, PositiveInt
from atml_exp.models.activations import Activation, activation_module
from atml_exp.models.image import image_shape
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["CNN", "cnn"]

Normalisation = Literal["none", "batch", "layer"]


class CNN(nn.Module):
    """`depth` blocks of 3×3 convolution, norm, activation, 2×2 mean pooling; mean over places; linear layer."""

    def __init__(
        self,
        channels: int,
        num_outputs: int,
        depth: int,
        width: int,
        activation: Activation,
        normalisation: Normalisation,
    ) -> None:
        super().__init__()
        sizes = [channels, *(width * 2**i for i in range(depth))]
        self.blocks = nn.Sequential(
            *(_Block(sizes[i], sizes[i + 1], activation, normalisation) for i in range(depth))
        )
        self.output = nn.Linear(sizes[-1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.blocks(x).mean((-2, -1)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, activation: Activation, normalisation: Normalisation) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = _norm(normalisation, outputs)
        self.activation = activation_module(activation)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.activation(self.norm(self.conv(x))))


def _norm(name: Normalisation, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if name == "layer" else nn.Identity()


def cnn(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    depth: PositiveInt = 2,
    width: PositiveInt = 16,
    activation: Activation = "relu",
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
    normalisation: Normalisation = "none",
) -> nn.Module:
    """`depth` convolutional blocks, the first with `width` channels, each next one with twice as many.

    Every block halves height and width (rounding down), so that at least 2^depth pixels a side are needed.
    Normalisation comes before the activation: `batch` by channel (Ioffe & Szegedy, 2015) or `layer`, over channels
    and places of one image (Ba et al., 2016; one group in the sense of Wu & He, 2018). The architecture is ours.

    Raises ConfigError for inputs that aren't images (C, H, W), and for images too small for the depth.

    >>> sum(p.numel() for p in cnn((1, 8, 8), 10, depth=2, width=16).parameters())
    5130
    """
    channels, *size = image_shape("cnn", input_shape)
    if min(size) < 2**depth:
        raise ConfigError(
            f"model.depth = {depth}: each block halves the image, and {size[0]}×{size[1]} pixels can be halved "
            f"{min(size).bit_length() - 1} times: choose a depth up to that"
        )
    model = CNN(channels, num_outputs, depth, width, activation, normalisation)
    initialise(model, initialisation, initial_scale)
    return model
