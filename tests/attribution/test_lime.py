import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from atml_exp.attribution.lime import lime, lime_over_seeds
from atml_exp.attribution.players import Game
from atml_exp.attribution.saliency import saliency


def test_a_linear_model_gives_its_weights(linear, x, y):
    torch.testing.assert_close(lime(linear, x, y, perturbation="gaussian"), linear.weight[y].detach())


def test_a_linear_model_gives_its_contributions(linear, x, y):
    base = torch.full((5,), 0.3, dtype=torch.float64)
    found = lime(linear, x, y, baseline=base, samples=50)
    torch.testing.assert_close(found, (x - base) * linear.weight[y].detach())


def test_scikit_learns_ridge_of_the_same_samples_says_the_same(net, x, y):
    z = torch.rand(300, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) < 0.5
    distance = 1 - z.double().mean(1).sqrt()
    weights = torch.exp(-(distance**2) / 0.25**2)
    weights = (weights / weights.max()).numpy()
    theirs = Ridge(alpha=2.0).fit(z.double().numpy(), Game(net, x, y)(z).numpy(), sample_weight=weights)
    found = lime(net, x, y, samples=300, penalty=2.0, seed=3)
    np.testing.assert_allclose(found.numpy(), theirs.coef_, atol=1e-10)


def test_in_a_small_neighbourhood_it_is_the_gradient(net, x, y):
    found = lime(net, x, y, perturbation="gaussian", noise=1e-3)
    torch.testing.assert_close(found, saliency(net, x, y, signed=True), atol=1e-3, rtol=0)


@pytest.mark.parametrize("perturbation", ["mask", "gaussian"])
def test_the_model_stays(images, untouched, perturbation):
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    untouched(
        lambda m, x, t: lime(m, x, t, perturbation=perturbation, samples=100), images, x, torch.tensor([0, 1, 2, 3])
    )


def test_the_variance_over_seeds_falls_with_samples_and_is_0_for_a_linear_model(net, linear, x, y):
    few, many = (lime_over_seeds(net, x, y, range(20), samples=n).variance.mean() for n in (50, 800))
    assert 8 < few / many < 32  # as 1/samples: 16
    assert lime_over_seeds(linear, x, y, range(3)).variance.max() < 1e-20
    with pytest.raises(ValueError, match="at least 2"):
        lime_over_seeds(net, x, y, [0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 5}, "samples is 5: 5 slopes .* at least 6"),
        ({"samples": 5, "perturbation": "gaussian"}, "at least 6"),
        ({"perturbation": "text"}, "mask or gaussian"),
        ({"noise": 0.0}, "must be positive"),
        ({"kernel_width": -1.0}, "must be positive"),
        ({"penalty": -1.0}, "must be positive"),
    ],
)
def test_refusals(net, x, y, options, words):
    with pytest.raises(ValueError, match=words):
        lime(net, x, y, **options)
