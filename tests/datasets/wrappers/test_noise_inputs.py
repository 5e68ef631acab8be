from dataclasses import replace

import pytest
import torch
from scipy.stats import kstest

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream
from atml_exp.datasets.wrappers.noise_inputs import noise_inputs


@pytest.fixture
def shifted(tiny):
    """Training inputs of mean 3 and variance 4; test inputs of another mean and variance."""
    x = 3 + 2 * torch.tensor([-1.0, 1.0]).repeat(20_000).view(1000, 1, 40)
    return replace(
        tiny, train=Split(x, torch.arange(1000) % 4), test=Split(100 + 0 * x[:500], torch.arange(500) % 4)
    )


def test_both_splits_are_gaussian_with_the_training_moments(shifted):
    out = noise_inputs(shifted, 0)
    for split, before in ((out.train, shifted.train), (out.test, shifted.test)):
        assert split.x.shape == before.x.shape
        assert split.x.dtype == before.x.dtype
        assert kstest(split.x.flatten().double().numpy(), "norm", args=(3, 2)).pvalue > 1e-3


def test_train_and_test_are_independent(shifted):
    out = noise_inputs(shifted, 0)
    pair = torch.stack([out.train.x[:500].flatten(), out.test.x.flatten()])
    assert torch.corrcoef(pair)[0, 1].abs() < 4 / pair.shape[1] ** 0.5


def test_labels_stay_and_the_seed_decides(shifted):
    outs = [noise_inputs(shifted, seed) for seed in (1, 1, 2)]
    assert outs[0].train.y is shifted.train.y
    assert outs[0].test.y is shifted.test.y
    assert outs[0].clean_labels is None
    assert torch.equal(outs[0].train.x, outs[1].train.x)
    assert not torch.equal(outs[0].train.x, outs[2].train.x)


def test_the_standard_deviation_is_that_over_n():
    split = Split(torch.tensor([[0.0, 2.0]]), torch.tensor([0]))
    data = Dataset("tiny", split, split, num_classes=2)
    z = torch.randn(1, 2, generator=stream(3, "noise_inputs/train"))
    assert torch.equal(noise_inputs(data, 3).train.x, z * 1.0 + 1.0)
