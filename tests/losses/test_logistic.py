import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch.func import jacrev

from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic

G = torch.Generator().manual_seed(0)
X = torch.randn(20, 3, generator=G, dtype=torch.float64)
W = torch.randn(3, 1, generator=G, dtype=torch.float64)
Y = torch.randint(0, 2, (20,), generator=G)


def test_equals_sklearn_and_cross_entropy_with_a_second_logit_of_zero():
    o = X @ W
    assert logistic(o, Y).item() == pytest.approx(log_loss(Y.numpy(), o.sigmoid()[:, 0].numpy()), rel=1e-12)
    torch.testing.assert_close(logistic(o, Y), cross_entropy(torch.cat([torch.zeros_like(o), o], 1), Y))


def test_gradient_is_p_minus_y_over_n():
    g = torch.func.grad(logistic)(X @ W, Y)
    torch.testing.assert_close(g[:, 0], ((X @ W).sigmoid()[:, 0] - Y) / 20)


def test_hessian_of_a_linear_model():
    """Xᵀ diag(p(1−p)) X/N."""
    h = jacrev(jacrev(lambda w: logistic(X @ w, Y)))(W).reshape(3, 3)
    p = (X @ W).sigmoid()
    torch.testing.assert_close(h, X.T @ (p * (1 - p) * X) / 20)


@pytest.mark.parametrize("margin", [-30.0, 30.0])
def test_keeps_its_precision_far_from_zero(margin):
    """softplus with its threshold loses e^{−30} from value and curvature at margin −30."""
    o, one = torch.tensor([[margin]], dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert logistic(o, one).item() == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-15, abs=0)
    curvature = jacrev(jacrev(logistic))(o, one).item()
    assert curvature == pytest.approx(math.exp(-30) / (1 + math.exp(-30)) ** 2, rel=1e-2, abs=0)  # 1 − p cancels


def test_huge_margins_stay_finite():
    o = torch.tensor([[1e4], [-1e4]])
    assert logistic(o, torch.tensor([1, 0])).item() == 0
    assert logistic(o, torch.tensor([0, 1])).item() == 1e4
