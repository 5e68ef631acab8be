"""torchvision's ResNet-18 (He et al., 2016) with a stem for small images."""

from torch import nn

from atml_exp.errors import ConfigError
from atml_exp.torchvision_operators import import_torchvision

__all__ = ["resnet18"]


def resnet18(input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """ResNet-18 whose stem is a 3×3 convolution of stride 1 without max-pooling, as is usual for 32×32 images.

    The activations are out of place, so that second derivatives work. ConfigError for inputs that aren't (C, H, W).
    """
    if len(input_shape) != 3:
        raise ConfigError(
            f"model = resnet18: needs images (C, H, W); this dataset's inputs have shape {input_shape}"
        )
    import_torchvision()
    from torchvision.models import resnet18 as make

    model = make(num_classes=num_outputs)
    model.conv1 = nn.Conv2d(input_shape[0], 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model
