import torch
from sklearn.linear_model import LogisticRegression

from atml_exp.datasets.concentric_circles import concentric_circles


def test_without_noise_the_radii_are_exact():
    split = concentric_circles(noise=0, inner_radius=0.3).train
    radius = torch.where(split.y == 0, 1.0, 0.3).double()
    assert torch.allclose(split.x.norm(dim=1), radius, atol=1e-12)


def test_noise_adds_its_variance_to_the_squared_radius():
    split = concentric_circles(noise=0.2, num_train=100_000).train
    for c, radius in ((0, 1.0), (1, 0.5)):
        x = split.x[split.y == c]
        assert abs(x.square().sum(1).mean() - (radius**2 + 2 * 0.2**2)) < 0.01
        assert x.mean(0).abs().max() < 0.02


def test_no_line_does_better_than_chance_and_the_radius_errs_nowhere():
    data = concentric_circles(noise=0.05)
    linear = LogisticRegression().fit(data.train.x, data.train.y).score(data.test.x, data.test.y)
    assert abs(linear - 0.5) < 0.1
    assert torch.equal((data.test.x.norm(dim=1) < 0.75).long(), data.test.y)


def test_counts_types_and_seed():
    data = concentric_circles(num_train=101, num_test=10, seed=1)
    assert data.train.y.bincount().tolist() == [51, 50]
    assert (data.train.x.dtype, data.num_classes) == (torch.float64, 2)
    assert torch.equal(concentric_circles(num_train=7, num_test=10, seed=1).test.x, data.test.x)
    assert not torch.equal(concentric_circles(num_test=10, seed=2).test.x, data.test.x)
