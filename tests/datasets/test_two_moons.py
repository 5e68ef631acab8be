import numpy as np
import torch
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

from atml_exp.datasets.two_moons import two_moons


def test_without_noise_the_points_lie_on_sklearns_moons():
    ours = two_moons(noise=0, num_train=500).train
    x, y = make_moons(20_000, noise=None)
    for c in (0, 1):
        distance, _ = cKDTree(x[y == c]).query(ours.x[ours.y == c].numpy())
        assert distance.max() < np.pi / 10_000


def test_angles_are_uniform():
    split = two_moons(noise=0, num_train=10_000).train
    x = split.x[split.y == 0]
    angle = torch.atan2(x[:, 1], x[:, 0]).sort().values / torch.pi
    assert (angle - torch.linspace(0, 1, len(angle), dtype=angle.dtype)).abs().max() < 0.03  # Kolmogorov–Smirnov


def test_noise_has_the_stated_standard_deviation():
    noise = (two_moons(noise=0.3, num_train=20_000).train.x - two_moons(noise=0, num_train=20_000).train.x).std(0)
    assert torch.allclose(noise, torch.full_like(noise, 0.3), rtol=0.03)


def test_no_line_separates_what_a_nearest_neighbour_does():
    data = two_moons(noise=0.05)
    linear = LogisticRegression().fit(data.train.x, data.train.y).score(data.test.x, data.test.y)
    nearest = data.train.y[torch.cdist(data.test.x, data.train.x).argmin(1)]
    assert 0.8 < linear < 0.95
    assert (nearest == data.test.y).all()


def test_counts_types_and_seed():
    data = two_moons(num_train=101, num_test=10, seed=1)
    assert data.train.y.bincount().tolist() == [51, 50]
    assert (data.train.x.dtype, data.num_classes) == (torch.float64, 2)
    assert torch.equal(two_moons(num_train=7, num_test=10, seed=1).test.x, data.test.x)
    assert not torch.equal(two_moons(num_test=10, seed=2).test.x, data.test.x)
