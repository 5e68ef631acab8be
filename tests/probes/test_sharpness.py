"""λ_max against closed forms, dense Hessians and curvlinops with scipy's eigsh."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from atml_exp.data import Split
from atml_exp.probes.sharpness import hessian_top_eigenvalues, sharpness


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


def logistic(outputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], y.to(outputs.dtype))


CROSS_ENTROPY = nn.CrossEntropyLoss()


def linear(inputs: int, outputs: int) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=False).double()


def net(*sizes: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1]).double()


def dense_eigenvalues(model: nn.Module, loss_fn, x: Tensor, y: Tensor) -> Tensor:
    """All eigenvalues, descending, of the dense Hessian by torch.func."""
    names, tensors = zip(*model.named_parameters(), strict=True)
    sizes = [t.numel() for t in tensors]

    def loss(flat: Tensor) -> Tensor:
        pieces = [p.view_as(t) for p, t in zip(flat.split(sizes), tensors, strict=True)]
        return loss_fn(functional_call(model, dict(zip(names, pieces, strict=True)), (x,)), y)

    hessian = jacrev(jacrev(loss))(torch.cat([t.detach().flatten() for t in tensors]))
    return torch.linalg.eigvalsh(hessian).flip(0)


X, Y = normal(60, 6, seed=1), torch.arange(60) % 3


@pytest.mark.parametrize("outputs", [1, 3])
def test_half_mse_of_linear_regression(outputs):
    """∇²L = I_C ⊗ XᵀX/n: every eigenvalue of XᵀX/n comes C times."""
    truth = torch.linalg.eigvalsh(X.T @ X / 60).flip(0).repeat_interleave(outputs)
    for k in (1, 2, 4, len(truth)):
        found = hessian_top_eigenvalues(linear(6, outputs), half_mse, X, normal(60, outputs), k)
        torch.testing.assert_close(found, truth[:k])


def test_logistic_regression():
    model = linear(6, 1)
    p = model(X).sigmoid().detach()
    truth = torch.linalg.eigvalsh(X.T @ (p * (1 - p) * X) / 60).flip(0)
    found = hessian_top_eigenvalues(model, logistic, X, Y % 2, 6)
    torch.testing.assert_close(found, truth)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_small_tanh_net_against_the_dense_hessian(scale):
    model = net(6, 7, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    truth = dense_eigenvalues(model, CROSS_ENTROPY, X, Y)
    assert truth[-1] < -1e-3  # indefinite
    for k in (1, 5, len(truth)):
        found = hessian_top_eigenvalues(model, CROSS_ENTROPY, X, Y, k)
        torch.testing.assert_close(found, truth[:k], atol=1e-8, rtol=1e-7)


def test_largest_algebraically_though_another_is_larger_in_magnitude():
    """½(o₁² − 9 o₂²) of two linear outputs has the Hessian diag(XᵀX, −9 XᵀX)/n."""

    def loss_fn(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs[:, 0].square() - 9 * outputs[:, 1].square()).mean() / 2

    h = X.T @ X / 60
    truth = torch.linalg.eigvalsh(torch.block_diag(h, -9 * h))
    assert truth[0].abs() > 5 * truth[-1]
    found = hessian_top_eigenvalues(linear(6, 2), loss_fn, X, Y, 1)
    torch.testing.assert_close(found, truth[-1:])


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_agrees_with_curvlinops_and_eigsh():
    from curvlinops import HessianLinearOperator

    model = net(6, 20, 20, 3, activation=nn.ReLU)
    operator = HessianLinearOperator(model, CROSS_ENTROPY, list(model.parameters()), [(X, Y)])
    truth = eigsh(operator.to_scipy(), k=4, which="LA", return_eigenvectors=False)[::-1]
    found = hessian_top_eigenvalues(model, CROSS_ENTROPY, X, Y, 4)
    assert found.tolist() == pytest.approx(truth.tolist(), rel=1e-7)


def test_scales_with_the_loss():
    model = net(6, 7, 3)
    one, three = (
        hessian_top_eigenvalues(model, lambda o, y, c=c: c * CROSS_ENTROPY(o, y), X, Y, 3) for c in (1, 3)
    )
    torch.testing.assert_close(three, 3 * one)


def test_order_chunks_and_seed_change_nothing():
    model, order = net(6, 7, 3), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    truth = hessian_top_eigenvalues(model, CROSS_ENTROPY, X, Y, 3)
    for found in (
        hessian_top_eigenvalues(model, CROSS_ENTROPY, X[order], Y[order], 3),
        hessian_top_eigenvalues(model, CROSS_ENTROPY, X, Y, 3, chunk_size=13),
        hessian_top_eigenvalues(model, CROSS_ENTROPY, X, Y, 3, seed=7),
    ):
        torch.testing.assert_close(found, truth)


@pytest.mark.parametrize("steps", [0, 300])
def test_float32_gives_the_figure_of_float64(steps):
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels[:700] / 16), torch.from_numpy(labels[:700])
    model = net(64, 32, 10, activation=nn.ReLU)
    optimiser = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        CROSS_ENTROPY(model(x), y).backward()
        optimiser.step()
    double = hessian_top_eigenvalues(model, CROSS_ENTROPY, x, y, 3)
    single = hessian_top_eigenvalues(model.float(), CROSS_ENTROPY, x.float(), y, 3)
    assert single.dtype == torch.float32
    assert single.tolist() == pytest.approx(double.tolist(), rel=2e-5)


def test_says_when_the_iterations_do_not_suffice():
    with pytest.warns(RuntimeWarning, match="after 4 Hessian–vector products .* raise max_iterations"):
        hessian_top_eigenvalues(net(6, 20, 3), CROSS_ENTROPY, X, Y, 2, max_iterations=4)


def test_k_out_of_range():
    for k in (0, 19):
        with pytest.raises(ValueError, match=rf"k is {k}: it must be between 1 and the number of parameters, 18"):
            hessian_top_eigenvalues(linear(6, 3), half_mse, X, normal(60, 3), k)


def test_what_has_no_hessian_is_refused():
    with pytest.raises(ValueError, match=r"call model.eval\(\)"):
        hessian_top_eigenvalues(net(6, 9, 3, activation=nn.Dropout).train(), CROSS_ENTROPY, X, Y, 1)
    with pytest.raises(ValueError, match="the loss is nan"):
        hessian_top_eigenvalues(linear(6, 3), CROSS_ENTROPY, X * math.nan, Y, 1)
    with pytest.raises(ValueError, match="no trainable parameter"):
        hessian_top_eigenvalues(nn.Identity(), CROSS_ENTROPY, X, Y, 1)
    with pytest.raises(ValueError, match="0 examples"):
        hessian_top_eigenvalues(linear(6, 3), CROSS_ENTROPY, X[:0], Y[:0], 1)


def test_probe_measures_in_eval_mode_and_leaves_the_mode():
    model = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, 3)).double()
    model[1].eval()
    found = sharpness(model, Split(X, Y), k=3)
    assert [module.training for module in model] == [True, False, True, True]
    assert set(found) == {"top", "residual", "eigenvalues"}
    truth = hessian_top_eigenvalues(model.eval(), CROSS_ENTROPY, X, Y, 3)
    torch.testing.assert_close(found["eigenvalues"], truth)
    assert found["top"] == found["eigenvalues"][0]


def test_probe_reports_one_scalar_and_its_residual():
    found = sharpness(linear(6, 2), Split(X, normal(60, 2)), loss=half_mse)
    assert set(found) == {"top", "residual"}
    assert found["top"] == pytest.approx(torch.linalg.eigvalsh(X.T @ X / 60)[-1].item())
    assert 0 <= found["residual"] < 1e-3 * found["top"]


def test_probe_says_by_the_residual_that_it_has_not_converged():
    rough = sharpness(net(6, 20, 3), Split(X, Y), max_iterations=3)
    fine = sharpness(net(6, 20, 3), Split(X, Y))
    assert fine["top"] - rough["top"] <= rough["residual"]
    assert rough["residual"] > 100 * fine["residual"]
