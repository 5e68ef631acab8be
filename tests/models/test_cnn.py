from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d

from atml_exp.errors import ConfigError
from atml_exp.models.cnn import cnn


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("shape", "depth", "width"), [((1, 8, 8), 1, 4), ((1, 28, 28), 2, 16), ((3, 32, 32), 4, 8)]
)
def test_number_of_parameters(shape, depth, width):
    sizes = [shape[0], *(width * 2**i for i in range(depth))]
    convolutions = sum(9 * a * b + b for a, b in pairwise(sizes))
    expected = convolutions + 10 * (sizes[-1] + 1)
    assert count(cnn(shape, 10, depth=depth, width=width)) == expected
    for normalisation in ("batch", "layer"):
        normalised = cnn(shape, 10, depth=depth, width=width, normalisation=normalisation)
        assert count(normalised) == expected + 2 * sum(sizes[1:])


def test_is_the_formula(float64):
    model, x = cnn((3, 11, 9), 4, depth=2, width=5, activation="tanh"), torch.randn(2, 3, 11, 9)
    k0, b0, k1, b1, w, b = model.parameters()
    h = avg_pool2d(torch.tanh(conv2d(x, k0, b0, padding=1)), 2)
    h = avg_pool2d(torch.tanh(conv2d(h, k1, b1, padding=1)), 2)
    assert h.shape == (2, 10, 2, 2)
    torch.testing.assert_close(model(x), h.mean((2, 3)) @ w.T + b)


def test_parameter_names():
    names = [n for n, _ in cnn((1, 8, 8), 2, depth=1, normalisation="batch").named_parameters()]
    assert names == [
        "blocks.0.conv.weight",
        "blocks.0.conv.bias",
        "blocks.0.norm.weight",
        "blocks.0.norm.bias",
        "output.weight",
        "output.bias",
    ]


@pytest.mark.parametrize(("normalisation", "over"), [("batch", (0, 2, 3)), ("layer", (1, 2, 3))])
def test_normalisation(float64, normalisation, over):
    """Batch: by channel; layer: by image, over all channels together."""
    block = cnn((3, 8, 8), 2, depth=1, normalisation=normalisation, initial_scale=50.0).blocks[0]
    normalised = block.norm(block.conv(torch.randn(5, 3, 8, 8)))
    mean, variance = normalised.mean(over), normalised.var(over, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean))
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-4, rtol=0)
    assert normalised.mean((2, 3)).abs().max() > 0.01  # not each channel of each image by itself


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (8, 13)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_images_that_are_large_enough_work(size, depth):
    assert cnn((1, *size), 10, depth=depth, width=2)(torch.randn(3, 1, *size)).shape == (3, 10)


def test_images_that_are_too_small_are_refused():
    cnn((1, 8, 15), 10, depth=3, width=2)
    with pytest.raises(ConfigError, match=r"model.depth = 4: .*8×15 pixels can be halved 3 times: choose a depth"):
        cnn((1, 8, 15), 10, depth=4, width=2)


def test_the_last_linear_layer_is_the_output():
    layers = [m for m in cnn((1, 8, 8), 7).modules() if isinstance(m, nn.Linear)]
    assert [layer.out_features for layer in layers] == [7]
