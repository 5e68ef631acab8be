import math

import pytest
import torch
from sklearn.metrics import brier_score_loss

from atml_exp.losses.brier import brier

G = torch.Generator().manual_seed(0)
OUT = torch.randn(20, 1, generator=G, dtype=torch.float64)
Y = torch.randint(0, 2, (20,), generator=G)


def test_equals_sklearn():
    theirs = brier_score_loss(Y.numpy(), OUT.sigmoid()[:, 0].numpy())
    assert brier(OUT, Y).item() == pytest.approx(theirs, rel=1e-12)


def test_gradient_by_hand():
    p = OUT.sigmoid()[:, 0]
    g = torch.func.grad(brier)(OUT, Y)
    torch.testing.assert_close(g[:, 0], 2 * (p - Y) * p * (1 - p) / 20)


def test_stays_in_the_unit_interval_and_keeps_its_digits():
    o, one = torch.tensor([[30.0]], dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert brier(o, one).item() == pytest.approx(math.exp(-60), rel=1e-12, abs=0)
    assert brier(-1e4 * o, one).item() == 1


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"outputs \(N, 1\)"):
        brier(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
