import math

import numpy as np
import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.datasets.chebyshev import chebyshev, chebyshev_polynomial
from atml_exp.soundness import doubts


@pytest.mark.parametrize("degree", range(8))
def test_it_is_the_cosine_of_k_times_the_angle_and_numpys_polynomial(degree):
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    ours = chebyshev_polynomial(degree, x)
    torch.testing.assert_close(ours, (degree * x.acos()).cos(), rtol=0, atol=1e-12)
    basis = np.polynomial.Chebyshev.basis(degree)(x.numpy())
    np.testing.assert_allclose(ours.numpy(), basis, rtol=0, atol=1e-12)


def test_points_are_evenly_spaced_and_reach_both_ends():
    data = chebyshev(num_train=5)
    assert data.train.x[:, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert data.train.y.tolist() == [-1, 1, 0, -1, 1]
    assert (len(data.test), data.num_classes, data.input_shape) == (200, None, (1,))
    check_dataset(data)


def test_no_point_is_tested_that_was_trained_on():
    data = chebyshev()
    assert doubts(data) == []
    assert chebyshev(num_test=4).test.x[:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    torch.testing.assert_close(data.test.y, chebyshev_polynomial(3, data.test.x[:, 0]), rtol=0, atol=0)


def test_the_mean_square_of_many_points_is_the_integral():
    """∫T_k²dx/2 over [−1, 1] = (1 + ∫cos(2kθ) sin θ dθ/2)/2 = ½(1 − 1/(4k² − 1))."""
    y = chebyshev(degree=4, num_train=100_001).train.y
    assert math.isclose(y.square().mean().item(), 0.5 * (1 - 1 / 63), rel_tol=1e-4)
