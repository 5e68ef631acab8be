"""What a convolutional model needs of its input."""

from atml_exp.errors import ConfigError

__all__ = ["image_shape"]


def image_shape(model: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W). ConfigError, naming the model, where the dataset's inputs aren't images.

    >>> image_shape("cnn", (3, 32, 32))
    (3, 32, 32)
    """
    if len(input_shape) != 3:
        raise ConfigError(
            f"model = {model}: needs images (channels, height, width); this dataset's inputs have shape "
            f"{tuple(input_shape)}: choose model=mlp or model=linear, or a dataset of images such as digits"
        )
    channels, height, width = input_shape
    return channels, height, width
