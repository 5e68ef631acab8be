import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch.nn.functional import interpolate

from atml_exp.attribution.grad_cam import grad_cam
from atml_exp.models.mlp import mlp

Y = torch.tensor([0, 1, 2, 3])


@pytest.fixture
def x():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def test_before_a_mean_and_a_linear_layer_it_is_the_class_activation_map(images, x):
    images.eval()
    heard = []
    handle = images.blocks[1].activation.register_forward_hook(lambda m, i, o: heard.append(o.detach()))
    images(x)
    handle.remove()
    maps = torch.einsum("nk,nkhw->nhw", images.output.weight[Y].detach(), heard[0])[:, None] / 16  # places: 4 × 4
    found = grad_cam(images, x, Y, layer="blocks.1.activation")
    torch.testing.assert_close(found, interpolate(maps.relu(), size=(8, 8), mode="bilinear"))


@pytest.mark.parametrize("layer", ["blocks.0.conv", "blocks.1.conv"])
def test_captum_says_the_same_and_the_model_stays(images, x, layer, untouched):
    found = untouched(lambda m, x, t: grad_cam(m, x, t, layer=layer), images, x, Y)
    images.eval()
    module = dict(images.named_modules())[layer]
    theirs = LayerGradCam(images, module).attribute(x, target=Y, relu_attributions=True)
    torch.testing.assert_close(found, LayerAttribution.interpolate(theirs, (8, 8), "bilinear").detach())


def test_the_last_convolution_unless_another_is_named(images, x):
    assert torch.equal(grad_cam(images, x, Y), grad_cam(images, x, Y, layer="blocks.1.conv"))
    assert grad_cam(images, x, Y).min() >= 0 > grad_cam(images, x, Y, positive=False).min()


def test_models_without_maps_are_refused(images, x):
    with pytest.raises(ValueError, match="MLP has no convolution"):
        grad_cam(mlp((1, 8, 8), 4).double(), x, Y)
    with pytest.raises(ValueError, match=r"layer is 'conv': .* are blocks\.0\.conv, blocks\.1\.conv"):
        grad_cam(images, x, Y, layer="conv")
    with pytest.raises(ValueError, match="'output' gives no maps"):
        grad_cam(images, x, Y, layer="output")
    with pytest.raises(ValueError, match="needs images"):
        grad_cam(images, x[:, 0], Y)
