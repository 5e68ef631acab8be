import pytest
import torch
from torch.func import grad

from atml_exp.losses.perceptron import perceptron

G = torch.Generator().manual_seed(0)
OUTPUTS = 2 * torch.randn(30, 1, generator=G, dtype=torch.float64)
Y = torch.randint(0, 2, (30,), generator=G)


def test_only_mistakes_count_and_by_how_much():
    signs = 2 * Y - 1
    expected = (-signs * OUTPUTS[:, 0]).clamp(min=0).mean()
    assert perceptron(OUTPUTS, Y).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_gradient_is_minus_the_sign_at_a_mistake_and_0_elsewhere():
    signs = 2 * Y - 1
    expected = torch.where(signs * OUTPUTS[:, 0] <= 0, -signs / 30, 0.0)
    assert 0 < expected.count_nonzero() < 30  # both cases occur
    torch.testing.assert_close(grad(perceptron)(OUTPUTS, Y)[:, 0], expected, check_dtype=False)


def test_a_margin_of_zero_is_a_mistake():
    assert grad(perceptron)(torch.zeros(2, 1), torch.tensor([1, 0])).tolist() == [[-0.5], [0.5]]
