import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch.func import jacrev

from atml_exp.losses.cross_entropy import cross_entropy

OUTPUTS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 3, 1, 1, 2, 0, 3])


def test_zero_logits_give_log_c():
    for c in (2, 4, 10):
        value = cross_entropy(torch.zeros(6, c, dtype=torch.float64), torch.arange(6) % c)
        assert value.item() == pytest.approx(math.log(c), rel=1e-15, abs=0)


def test_equals_sklearn():
    probabilities = OUTPUTS.softmax(1).numpy()
    assert cross_entropy(OUTPUTS, Y).item() == pytest.approx(log_loss(Y.numpy(), probabilities), rel=1e-12)


def test_gradient_is_softmax_minus_one_hot_over_n():
    g = torch.func.grad(cross_entropy)(OUTPUTS, Y)
    torch.testing.assert_close(g, (OUTPUTS.softmax(1) - torch.eye(4, dtype=torch.float64)[Y]) / 7)


def test_hessian_of_one_example_is_diag_p_minus_ppt():
    h = jacrev(jacrev(cross_entropy))(OUTPUTS[:1], Y[:1]).reshape(4, 4)
    p = OUTPUTS[0].softmax(0)
    torch.testing.assert_close(h, p.diag() - p.outer(p))


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_label_smoothing_is_torchs(smoothing):
    theirs = torch.nn.functional.cross_entropy(OUTPUTS, Y, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(OUTPUTS, Y, label_smoothing=smoothing), theirs)


def test_adding_a_constant_to_all_logits_changes_nothing():
    torch.testing.assert_close(cross_entropy(OUTPUTS + 1e3, Y), cross_entropy(OUTPUTS, Y))


@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(1, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.int64)),
        (torch.zeros(3, 2), torch.zeros(3)),
        (torch.zeros(3, 2), torch.zeros(3, 2)),  # torch would take these as probabilities
    ],
)
def test_refuses_what_does_not_fit(outputs, y):
    with pytest.raises(ValueError, match=r"cross_entropy needs outputs \(N, C\) and integer classes y \(N,\), not"):
        cross_entropy(outputs, y)
