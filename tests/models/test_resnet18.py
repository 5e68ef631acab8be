import math

import pytest
import torch
from torch import nn

from atml_exp.models.resnet18 import resnet18
from atml_exp.torchvision_operators import import_torchvision


@pytest.mark.parametrize(("channels", "k"), [(1, 10), (3, 100)])
def test_number_of_parameters(channels, k):
    """That of torchvision's, with the stem and the last layer exchanged."""
    stock = import_torchvision().models.resnet18()
    expected = sum(p.numel() for p in stock.parameters())
    expected += 64 * 9 * channels - 64 * 49 * 3 + 513 * (k - 1000)
    assert sum(p.numel() for p in resnet18((channels, 32, 32), k).parameters()) == expected


def test_the_stem_keeps_the_resolution():
    model = resnet18((1, 8, 8), 5)
    x = torch.randn(2, 1, 8, 8)
    stem = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    assert stem.shape == (2, 64, 8, 8)
    assert model.layer4(model.layer3(model.layer2(model.layer1(stem)))).shape == (2, 512, 1, 1)
    assert model(x).shape == (2, 5)


def test_every_relu_is_out_of_place():
    relus = [m for m in resnet18((1, 8, 8), 2).modules() if isinstance(m, nn.ReLU)]
    assert len(relus) == 9
    assert not any(m.inplace for m in relus)


def test_the_stem_is_drawn_as_the_other_convolutions(seeded):
    """Variance 2/(9·64), within four standard errors of 1728 normal draws."""
    weight = seeded(lambda: resnet18((3, 8, 8), 2)).conv1.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=4 / math.sqrt(2 * 1728))


def test_the_last_linear_layer_is_the_output():
    layers = [m for m in resnet18((1, 8, 8), 7).modules() if isinstance(m, nn.Linear)]
    assert [layer.out_features for layer in layers] == [7]
