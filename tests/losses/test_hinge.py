import pytest
import torch
from sklearn.metrics import hinge_loss
from torch.func import jacrev

from atml_exp.losses.hinge import hinge

G = torch.Generator().manual_seed(0)
OUTPUTS = 2 * torch.randn(30, 1, generator=G, dtype=torch.float64)
Y = torch.randint(0, 2, (30,), generator=G)


def test_equals_sklearn():
    reference = hinge_loss(2 * Y.numpy() - 1, OUTPUTS[:, 0].numpy())
    assert hinge(OUTPUTS, Y).item() == pytest.approx(reference, rel=1e-12)


def test_gradient_is_minus_the_sign_inside_the_margin_and_0_outside():
    sign = 2 * Y - 1
    expected = torch.where(sign * OUTPUTS[:, 0] < 1, -sign / 30, 0.0)
    assert 0 < expected.count_nonzero() < 30  # both cases occur
    torch.testing.assert_close(torch.func.grad(hinge)(OUTPUTS, Y)[:, 0], expected, check_dtype=False)


def test_at_the_kink_the_subgradient_is_0():
    o = torch.tensor([[1.0], [-1.0]])
    assert torch.func.grad(hinge)(o, torch.tensor([1, 0])).tolist() == [[0.0], [0.0]]


def test_hessian_off_the_kink_is_0():
    assert jacrev(jacrev(hinge))(OUTPUTS, Y).abs().max() == 0
