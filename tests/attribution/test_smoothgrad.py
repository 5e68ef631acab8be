import pytest
import torch
from torch import nn

from atml_exp.attribution.saliency import saliency
from atml_exp.attribution.smoothgrad import smoothgrad


class Cube(nn.Module):
    def forward(self, x):
        return x.pow(3).sum(1)


def test_the_mean_gradient_of_a_cubic_has_a_closed_form():
    x = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64)  # E 3(x + ε)² = 3x² + 3σ²
    found = smoothgrad(Cube(), x, 0, noise=0.25, samples=4000, signed=True)
    torch.testing.assert_close(found, 3 * x.square() + 3 * 0.5**2, atol=0.15, rtol=0)


def test_without_noise_or_curvature_it_is_the_saliency(net, linear, x, y):
    torch.testing.assert_close(smoothgrad(net, x, y, noise=0.0, samples=3), saliency(net, x, y))
    torch.testing.assert_close(smoothgrad(linear, x, y, samples=3), saliency(linear, x, y))


def test_captum_says_the_same_up_to_its_own_draws(net, x):
    from captum.attr import NoiseTunnel, Saliency

    one = x[:1]
    torch.manual_seed(0)
    std = 0.15 * float(one.max() - one.min())
    tunnel = NoiseTunnel(Saliency(net))
    options = {"nt_samples": 3000, "nt_samples_batch_size": 500, "stdevs": std, "abs": False}
    theirs = tunnel.attribute(one.clone().requires_grad_(), target=1, nt_type="smoothgrad", **options)
    torch.testing.assert_close(smoothgrad(net, one, 1, samples=3000, signed=True), theirs, atol=5e-3, rtol=0)


def test_the_model_stays_and_seeds_decide(net, x, y, untouched):
    first = untouched(smoothgrad, net, x, y)
    assert not torch.equal(first, smoothgrad(net, x, y, seed=1))


@pytest.mark.parametrize("options", [{"noise": -0.1}, {"samples": 0}, {"noise": float("nan")}])
def test_refusals(net, x, y, options):
    with pytest.raises(ValueError, match="at least 0 and 1"):
        smoothgrad(net, x, y, **options)
