import pytest
import torch

from atml_exp.losses.hinge import hinge
from atml_exp.losses.logistic import logistic
from atml_exp.losses.margin import margins

OUTPUTS = torch.tensor([[2.0], [-3.0], [0.5]])


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float32])
def test_the_sign_is_that_of_the_label(dtype):
    y = torch.tensor([1, 1, 0]).to(dtype)
    assert margins(OUTPUTS, y).tolist() == [2.0, -3.0, -0.5]


@pytest.mark.parametrize("fn", [margins, logistic, hinge])
@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 2), torch.zeros(3)),
        (torch.zeros(3, 1), torch.zeros(3, 1)),  # would broadcast to 3×3
        (torch.zeros(3, 1), torch.zeros(1)),
        (torch.zeros(3, 2, 1), torch.zeros(3, 2)),
    ],
)
def test_refuses_shapes_that_do_not_match(fn, outputs, y):
    with pytest.raises(ValueError, match=r"a binary loss needs outputs \(N, 1\) and labels y \(N,\), not \(3"):
        fn(outputs, y)
