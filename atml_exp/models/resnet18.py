"""torchvision's ResNet-18 (He et al., 2016) with a stem for small images."""

from torch import nn

from atml_exp.models.image import image_shape
from atml_exp.torchvision_operators import import_torchvision

__all__ = ["resnet18"]


def resnet18(input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """ResNet-18 whose stem is a 3×3 convolution of stride 1 without max-pooling, as is usual for 32×32 images.

    Initial weights as torchvision draws them: convolutions normal with variance 2/(9·outputs), the new stem too.
    The activations are out of place, so that second derivatives and vmap work. ConfigError for inputs that aren't
    images (C, H, W).

    >>> sum(p.numel() for p in resnet18((3, 32, 32), 10).parameters())
    11173962
    """
    channels, _, _ = image_shape("resnet18", input_shape)
    model: nn.Module = import_torchvision().models.resnet18(num_classes=num_outputs)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model
