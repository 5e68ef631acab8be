import pytest
import torch
from sklearn.metrics import mean_squared_error
from torch.func import jacrev

from atml_exp.losses.mse import mse

G = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(6, 3, generator=G, dtype=torch.float64)
Y = torch.randn(6, 3, generator=G, dtype=torch.float64)


def test_half_the_squared_norm_is_summed_over_outputs_and_averaged_over_examples():
    assert mse(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2, 2)).item() == 6.25  # ½·25 and 0


def test_equals_sklearn():
    reference = mean_squared_error(Y.numpy(), OUTPUTS.numpy())  # a mean over outputs too
    assert mse(OUTPUTS, Y).item() == pytest.approx(0.5 * 3 * reference, rel=1e-12)


def test_gradient_and_hessian():
    torch.testing.assert_close(torch.func.grad(mse)(OUTPUTS, Y), (OUTPUTS - Y) / 6)
    torch.testing.assert_close(
        jacrev(jacrev(mse))(OUTPUTS, Y).reshape(18, 18), torch.eye(18, dtype=torch.float64) / 6
    )


def test_hessian_of_linear_regression_is_the_second_moment():
    w = torch.zeros(3, 1, dtype=torch.float64)
    h = jacrev(jacrev(lambda w: mse(OUTPUTS @ w, Y[:, 0])))(w).reshape(3, 3)
    torch.testing.assert_close(h, OUTPUTS.T @ OUTPUTS / 6)


def test_classes_stand_for_one_hot_vectors():
    classes = torch.tensor([2, 0, 1, 1, 0, 2])
    one_hot = torch.eye(3, dtype=torch.float64)[classes]
    assert mse(OUTPUTS, classes) == mse(OUTPUTS, one_hot)
    assert mse(OUTPUTS, classes.to(torch.uint8)) == mse(OUTPUTS, one_hot)


def test_a_vector_of_targets_goes_with_one_output():
    assert mse(OUTPUTS[:, :1], Y[:, 0]) == mse(OUTPUTS[:, :1], Y[:, :1])


@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (torch.zeros(6), torch.zeros(6)),
        (torch.zeros(6, 3), torch.zeros(6)),  # would broadcast
        (torch.zeros(6, 1), torch.zeros(6, 3)),
        (torch.zeros(6, 3), torch.zeros(1, 3)),
        (torch.zeros(6, 6), torch.zeros(6)),
        (torch.zeros(6, 3), torch.zeros(5, dtype=torch.int64)),
        (torch.zeros(6, 1), torch.tensor(0.0)),
    ],
)
def test_never_broadcasts(outputs, y):
    with pytest.raises(
        ValueError,
        match=r"mse needs outputs \(N, K\) and y \(N, K\), \(N,\) for K = 1, or integer classes \(N,\), not \(6",
    ):
        mse(outputs, y)


@pytest.mark.parametrize("label", [3, -1])
def test_refuses_a_class_without_an_output(label):
    classes = torch.tensor([0, 1, 2, 0, 1, label])
    with pytest.raises(RuntimeError, match=f"index {label} is out of bounds"):
        mse(OUTPUTS, classes)
    with pytest.raises(RuntimeError, match=f"index {label} is out of bounds"):
        torch.func.vmap(mse)(OUTPUTS[None], classes[None])
