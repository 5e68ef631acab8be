import math

import pytest
import torch

from atml_exp.datasets.gaussian_mixture import class_means, gaussian_mixture
from atml_exp.errors import ConfigError


@pytest.mark.parametrize(("num_classes", "dimension"), [(2, 1), (3, 2), (5, 9)])
def test_simplex_means_are_equally_far_apart_and_centred(num_classes, dimension):
    means = class_means(num_classes, dimension, 3.0, "simplex")
    distances = torch.pdist(means)
    assert torch.allclose(distances, torch.full_like(distances, 3.0))
    assert torch.allclose(means.sum(0), torch.zeros(dimension, dtype=means.dtype), atol=1e-12)


def test_circle_means_form_a_regular_polygon():
    means = class_means(6, 3, 2.0, "circle")
    neighbours = (means - means.roll(1, 0)).norm(dim=1)
    assert torch.allclose(neighbours, torch.full_like(neighbours, 2.0))
    assert torch.allclose(means.norm(dim=1), neighbours)  # a hexagon's radius is its side
    assert (means[:, 2] == 0).all()


def test_class_means_and_covariances_are_the_stated_ones():
    data = gaussian_mixture(num_classes=3, dimension=4, separation=5.0, spread=0.5, num_train=60_000, num_test=1)
    truth = class_means(3, 4, 5.0, "simplex")
    for c in range(3):
        x = data.train.x[data.train.y == c]
        assert torch.allclose(x.mean(0), truth[c], atol=5 * 0.5 / math.sqrt(len(x)))
        assert torch.allclose(x.T.cov(), 0.25 * torch.eye(4, dtype=x.dtype), atol=5 * 0.25 * math.sqrt(2 / len(x)))


def test_the_nearest_mean_errs_as_often_as_bayes_theory_says():
    data = gaussian_mixture(num_classes=2, dimension=3, separation=2.0, spread=1.0, num_train=1, num_test=40_000)
    nearest = torch.cdist(data.test.x, class_means(2, 3, 2.0, "simplex")).argmin(1)
    error = (nearest != data.test.y).double().mean()
    bayes = 0.5 * math.erfc(1 / math.sqrt(2))  # Φ(−1)
    assert abs(error - bayes) < 4 * math.sqrt(bayes * (1 - bayes) / 40_000)


def test_counts_types_and_seed():
    data = gaussian_mixture(num_classes=3, num_train=100, num_test=50, seed=4)
    assert data.train.y.bincount().tolist() == [34, 33, 33]
    assert (data.train.x.dtype, len(data.test)) == (torch.float64, 50)
    again = gaussian_mixture(num_classes=3, num_train=40, num_test=50, seed=4)
    assert torch.equal(again.test.x, data.test.x)  # whatever the size of the training split
    assert not torch.equal(gaussian_mixture(num_test=50, seed=5).test.x, data.test.x)


@pytest.mark.parametrize(
    ("arrangement", "needed"), [("simplex", "at least 4, or arrangement=circle"), ("circle", "2")]
)
def test_means_that_do_not_fit_are_refused(arrangement, needed):
    with pytest.raises(ConfigError, match=rf"dataset.dimension=1 is too small for 5 classes .*{needed}"):
        gaussian_mixture(num_classes=5, dimension=1, arrangement=arrangement)
