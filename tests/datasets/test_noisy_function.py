import numpy as np
import pytest
import torch

from atml_exp.capacity import values
from atml_exp.checks import check_dataset
from atml_exp.datasets.noisy_function import noisy_function


@pytest.mark.parametrize("sampling", ["grid", "uniform"])
@pytest.mark.parametrize("function", ["sine", "runge", "step"])
def test_it_is_the_function_and_noise_of_that_size(function, sampling):
    data = noisy_function(function=function, noise=0.5, sampling=sampling, num_train=20_000, num_test=20_000)
    check_dataset(data)
    for split in (data.train, data.test):
        rest = split.y - torch.from_numpy(values(function, split.x[:, 0].numpy()))
        assert rest.mean().item() == pytest.approx(0, abs=4 * 0.5 / 20_000**0.5)
        assert rest.var().item() == pytest.approx(0.25, rel=4 * (2 / 20_000) ** 0.5)
        assert abs(split.x.mean().item()) < 4 / (3 * 20_000) ** 0.5


def test_without_noise_the_mean_square_of_the_sine_is_a_half():
    y = noisy_function(noise=0.0, num_test=100).test.y
    assert y.square().mean().item() == pytest.approx(0.5, abs=1e-12)


def test_the_grid_is_the_same_under_every_seed_and_the_noise_another():
    one, other = (noisy_function(seed=seed) for seed in (0, 1))
    assert torch.equal(one.train.x, other.train.x)
    assert not torch.equal(one.train.y, other.train.y)
    np.testing.assert_allclose(one.train.x[:2, 0], [-1 + 1 / 30, -1 + 3 / 30])
    random = [noisy_function(sampling="uniform", seed=seed).train.x for seed in (0, 1)]
    assert not torch.equal(*random)


def test_more_training_examples_leave_the_test_split_as_it_was():
    assert torch.equal(noisy_function(num_train=5).test.y, noisy_function(num_train=50).test.y)
