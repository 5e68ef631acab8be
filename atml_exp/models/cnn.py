"""A small convolutional network."""

from typing import Literal

from torch import Tensor, nn

from atml_exp.errors import ConfigError
from atml_exp.fields import Positive, PositiveInt
from atml_exp.models.activations import Activation, activation_module
from atml_exp.models.initialisation import Initialisation, initialise

__all__ = ["CNN", "cnn"]


class CNN(nn.Module):
    """`depth` blocks of 3×3 convolution, activation, 2×2 average pooling; the mean over places; a linear layer."""

    def __init__(
        self,
        channels: int,
        num_outputs: int,
        depth: int,
        width: int,
        activation: Activation,
        normalisation: Literal["none", "batch"],
    ) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(depth)]
        blocks: list[nn.Module] = []
        for inputs, outputs in zip([channels, *widths[:-1]], widths, strict=True):
            blocks += [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs) if normalisation == "batch" else nn.Identity(),
                activation_module(activation),
                nn.AvgPool2d(2),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(widths[-1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.blocks(x).mean((-2, -1)))


def cnn(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    depth: PositiveInt = 2,
    width: PositiveInt = 16,
    activation: Activation = "relu",
    initialisation: Initialisation = "pytorch",
    initial_scale: Positive = 1.0,
    normalisation: Literal["none", "batch"] = "none",
) -> nn.Module:
    """`depth` convolutional blocks, the first with `width` channels, each next one with twice as many.

    Raises ConfigError for inputs that aren't images (C, H, W), and where `depth` halvings leave no pixel.

    >>> sum(p.numel() for p in cnn((1, 8, 8), 10, depth=2, width=16).parameters())
    5130
    """
    if len(input_shape) != 3:
        raise ConfigError(f"model = cnn: needs images (C, H, W); this dataset's inputs have shape {input_shape}")
    if min(input_shape[1:]) < 2**depth:
        raise ConfigError(
            f"model.depth = {depth}: images of {input_shape[1]}×{input_shape[2]} can be halved "
            f"{min(input_shape[1:]).bit_length() - 1} times; allowed: up to that"
        )
    model = CNN(input_shape[0], num_outputs, depth, width, activation, normalisation)
    initialise(model, initialisation, initial_scale)
    return model
