import math

import pytest
import torch

from atml_exp.datasets.linear_regression import eigenvalues, linear_regression, optimal_weights
from atml_exp.errors import ConfigError

SPECTRUM = [4.0, 1.0, 0.25]


def test_population_covariance_has_the_given_spectrum():
    n = 100_000
    x = linear_regression(dimension=3, spectrum=SPECTRUM, num_train=n, num_test=1).train.x
    truth = torch.tensor(SPECTRUM, dtype=x.dtype)
    error = (x.T @ x / n - truth.diag()).abs() / (truth[:, None] * truth).sqrt()
    assert error.max() < 5 * math.sqrt(2 / n)
    assert torch.allclose(torch.linalg.eigvalsh(x.T.cov()), truth.flip(0), rtol=0.03)


def test_power_law():
    lam = eigenvalues(2.0, 5)
    assert lam.tolist() == pytest.approx([1, 1 / 4, 1 / 9, 1 / 16, 1 / 25])
    assert eigenvalues(0.0, 3).tolist() == [1, 1, 1]


def test_without_noise_least_squares_finds_the_teacher_exactly():
    data = linear_regression(dimension=6, noise_std=0, seed=3)
    found = torch.linalg.lstsq(data.train.x, data.train.y[:, None]).solution[:, 0]
    assert torch.allclose(found, optimal_weights(6, 3), atol=1e-12)
    assert torch.allclose(data.test.y, data.test.x @ found)


def test_risk_is_the_closed_form():
    """E(y − x·w)² = Σλ(w − w*)² + σ²; at w* only the noise is left."""
    n, sigma = 200_000, 0.5
    data = linear_regression(dimension=3, spectrum=SPECTRUM, noise_std=sigma, num_train=1, num_test=n, seed=1)
    for w in (optimal_weights(3, 1), torch.ones(3, dtype=torch.float64)):
        risk = (data.test.y - data.test.x @ w).square().mean()
        gap = w - optimal_weights(3, 1)
        truth = float(torch.tensor(SPECTRUM, dtype=w.dtype) @ gap**2) + sigma**2
        assert abs(risk - truth) < 5 * truth * math.sqrt(2 / n)


def test_teacher_has_norm_one_and_follows_the_seed():
    assert optimal_weights(7, 0).norm() == pytest.approx(1)
    assert not torch.allclose(optimal_weights(7, 0), optimal_weights(7, 1))


def test_shapes_types_and_seed():
    data = linear_regression(num_train=5, num_test=8, seed=2)
    assert (data.train.x.shape, data.train.y.shape, data.num_classes) == ((5, 20), (5,), None)
    assert (data.train.x.dtype, data.train.y.dtype) == (torch.float64, torch.float64)
    assert torch.equal(linear_regression(num_train=50, num_test=8, seed=2).test.y, data.test.y)


def test_a_spectrum_of_another_length_is_refused():
    with pytest.raises(ConfigError, match=r"dataset.spectrum lists 3 eigenvalues and dataset.dimension=20"):
        linear_regression(spectrum=SPECTRUM)


def test_the_teacher_can_be_given():
    data = linear_regression(dimension=3, noise_std=0, teacher=[1.0, -2.0, 0.5])
    torch.testing.assert_close(data.train.y, data.train.x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    with pytest.raises(ConfigError, match=r"dataset\.teacher lists 2 weights and dataset\.dimension=3"):
        linear_regression(dimension=3, teacher=[1.0, 2.0])
