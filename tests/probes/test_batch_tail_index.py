"""Noise of mini-batches at fixed weights: its covariance, its tail index where theory knows it, and refusals."""

import math

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.mse import mse
from atml_exp.probes.batch_tail_index import batch_noise, batch_tail_index
from atml_exp.probes.gradient_noise import per_example_gradients
from atml_exp.probes.tail_index import tail_index


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def regression(scales: Tensor, num_examples: int = 400) -> tuple[nn.Module, Split]:
    """At w = 0 the gradient of example i is −yᵢxᵢ, of the scale of the inputs."""
    model = nn.Linear(len(scales), 1, bias=False).double()
    nn.init.zeros_(model.weight)
    return model, Split(normal(num_examples, len(scales)) * scales, normal(num_examples, seed=1))


def test_the_noise_of_a_batch_has_the_examples_covariance_over_its_size():
    gradients = normal(50, 3) * torch.tensor([1.0, 3.0, 0.1]) + 7
    noise = batch_noise(gradients, 8, 20_000, torch.Generator().manual_seed(0))
    expected = torch.cov(gradients.T, correction=0).diagonal() / 8
    torch.testing.assert_close(noise.var(0), expected, rtol=3 * (2 / 20_000) ** 0.5, atol=0)
    assert (noise.mean(0).abs() < 4 * (expected / 20_000).sqrt()).all()


def test_large_batches_are_gaussian_by_coordinate_and_heavy_tailed_only_when_pooled():
    """The mean of 400 examples is Gaussian to within a percent; log s of the scales spreads over 6 units."""
    scales = torch.logspace(-2, 1, 20, dtype=torch.float64)
    model, data = regression(scales)
    found = batch_tail_index(model, data, loss=mse, batch_size=400, num_batches=10_000, block_size=100)
    error = math.pi / math.sqrt(8 * 100 * 20) / math.log(100)  # 20 coordinates of 100 blocks
    assert 1 / found["per_coordinate"] == pytest.approx(0.5, abs=3 * error)
    assert found["pooled"] < 1.4
    assert found["readings"].shape == (20,)


def test_it_is_the_tail_index_of_that_noise():
    model, data = regression(torch.ones(4))
    found = batch_tail_index(model, data, loss=mse, num_batches=100, block_size=10, seed=3)
    gradients = per_example_gradients(model, mse, data.x, data.y)
    noise = batch_noise(gradients, 32, 100, torch.Generator().manual_seed(3))
    assert torch.equal(found["readings"], tail_index(noise, 10).per_coordinate)


def test_probe_leaves_everything_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    values = check_probe(
        lambda m, d: batch_tail_index(m, d, num_batches=200), model, Split(normal(60, 4), torch.arange(60) % 3)
    )
    assert values["coordinates_used"] == 43


def test_parameters_without_noise_are_left_out():
    model, data = regression(torch.tensor([1.0, 0.0, 2.0]))
    assert batch_tail_index(model, data, loss=mse)["coordinates_used"] == 2
    with pytest.raises(ValueError, match="there is no noise to measure"):
        batch_tail_index(*regression(torch.zeros(3)), loss=mse)


def test_too_few_batches_are_refused():
    with pytest.raises(ValueError, match="two blocks of block_size = 50 rows; got 60"):
        batch_tail_index(*regression(torch.ones(3)), loss=mse, num_batches=60)
