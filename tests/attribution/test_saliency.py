import torch
from captum.attr import Saliency

from atml_exp.attribution.saliency import saliency


def test_of_a_linear_model_it_is_the_weights(linear, x, y):
    assert torch.equal(saliency(linear, x, y, signed=True), linear.weight[y].detach())
    assert torch.equal(saliency(linear, x, y), linear.weight[y].detach().abs())


def test_captum_says_the_same_and_the_model_stays(net, x, y, untouched):
    found = untouched(saliency, net, x, y)
    torch.testing.assert_close(found, Saliency(net).attribute(x.clone().requires_grad_(), target=y))


def test_images(images, untouched):
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    untouched(saliency, images, x, torch.tensor([0, 1, 2, 3]))
