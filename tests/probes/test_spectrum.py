"""The spectrum against dense Hessians, closed forms and curvlinops, in float64."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.linalg import Hessian
from atml_exp.probes import spectrum as module
from atml_exp.probes.spectrum import hessian_spectrum, hessian_trace, operator_spectrum, spectrum


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


def net(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1]).double()


def dense(model: nn.Module, x: Tensor, y: Tensor, loss_fn=cross_entropy) -> Tensor:
    names, tensors = zip(*model.named_parameters(), strict=True)
    sizes = [t.numel() for t in tensors]

    def loss(flat: Tensor) -> Tensor:
        pieces = [p.view_as(t) for p, t in zip(flat.split(sizes), tensors, strict=True)]
        return loss_fn(functional_call(model, dict(zip(names, pieces, strict=True)), (x,)), y)

    return jacrev(jacrev(loss))(torch.cat([t.detach().flatten() for t in tensors]))


X, Y = normal(40, 5, seed=1), torch.arange(40) % 3
MODEL = net(5, 20, 10, 3)
MATRIX = dense(MODEL, X, Y)
VALUES = torch.linalg.eigvalsh(MATRIX).flip(0)


def test_top_eigenvalues_and_eigenvectors_are_those_of_the_dense_hessian():
    found = hessian_spectrum(MODEL, cross_entropy, X, Y, 6, tolerance=1e-9)
    assert len(MATRIX) == 363
    assert found.converged
    assert VALUES[-1] < -1e-3  # indefinite
    torch.testing.assert_close(found.eigenvalues, VALUES[:6], rtol=1e-8, atol=0)
    v = found.eigenvectors
    torch.testing.assert_close(v @ v.T, torch.eye(6).double())
    assert (MATRIX @ v.T - v.T * found.eigenvalues).norm(dim=0).tolist() == pytest.approx(
        found.residuals.tolist(), abs=1e-9
    )


@pytest.mark.parametrize("iterations", [2, 3, 5, 8])
def test_some_eigenvalue_is_as_near_as_the_residual_says(iterations):
    found = hessian_spectrum(
        MODEL, cross_entropy, X, Y, 3, num_vectors=4, num_iterations=iterations, max_iterations=iterations
    )
    assert found.products == 4 * iterations
    assert not found.converged
    nearest = (VALUES - found.eigenvalues[:, None]).abs().amin(1)
    assert (nearest <= found.residuals).all()
    assert (found.eigenvalues <= VALUES[:3]).all()


def test_errors_bound_the_truth_once_converged():
    for tolerance in (1e-2, 1e-4, 1e-6):
        found = hessian_spectrum(MODEL, cross_entropy, X, Y, 3, num_iterations=2, tolerance=tolerance)
        assert found.converged
        assert (found.errors <= tolerance * found.eigenvalues).all()
        assert (VALUES[:3] - found.eigenvalues <= found.errors + 1e-13).all()


def test_moments_of_the_density_are_those_of_the_start_vectors_up_to_the_degree_of_gauss_quadrature():
    """Σ w θᵖ = mean of vᵀAᵖv for p < 2s; beyond it isn't."""
    start, s = normal(3, 363, seed=5), 4
    found = operator_spectrum(lambda rows: rows @ MATRIX, start, 3, num_iterations=s, max_iterations=s)
    v = start / start.norm(dim=1, keepdim=True)
    power, scale = v, VALUES.abs().max()
    for p in range(2 * s + 1):
        truth = (v * power).sum(1).mean() / scale**p
        moment = (found.weights @ found.nodes**p) / scale**p
        assert abs(moment - truth) < 1e-12 if p < 2 * s else abs(moment - truth) > 1e-9
        power = power @ MATRIX
    assert found.weights.sum().item() == pytest.approx(1, abs=1e-12)
    assert len(found.nodes) == 12


def test_one_start_vector_is_the_plain_quadrature():
    start = normal(1, 363, seed=6)
    found = operator_spectrum(lambda rows: rows @ MATRIX, start, 1, num_iterations=5, max_iterations=5)
    krylov = [start[0] / start[0].norm()]
    for _ in range(4):
        krylov.append(MATRIX @ krylov[-1])
    q, _ = torch.linalg.qr(torch.stack(krylov, 1))
    values, vectors = torch.linalg.eigh(q.T @ MATRIX @ q)
    torch.testing.assert_close(found.nodes, values.flip(0))
    torch.testing.assert_close(found.weights, vectors[0].square().flip(0))
    assert math.isnan(found.trace.standard_error)


def test_the_density_is_the_dense_one_within_the_error_of_few_start_vectors():
    """The share of eigenvalues below a threshold, which lies between nodes."""
    found = hessian_spectrum(MODEL, cross_entropy, X, Y, num_vectors=16, num_iterations=12, seed=3)
    assert not found.exact
    for threshold in (-0.01, 0.02, 0.1):
        share = (threshold > VALUES).double().mean().item()
        assert found.weights[found.nodes < threshold].sum().item() == pytest.approx(share, abs=0.05)


def test_trace_from_the_start_vectors_and_its_standard_error():
    """n vᵀAv of v uniform on the sphere has the variance 2n/(n + 2) (‖A‖² − (tr A)²/n)."""
    truth, n, b = MATRIX.trace(), 363, 50
    starts = [normal(b, n, seed=s) for s in range(100)]
    found = [
        operator_spectrum(lambda r: r @ MATRIX, s, 1, num_iterations=1, max_iterations=1).trace for s in starts
    ]
    variance = 2 * n / (n + 2) * (MATRIX.square().sum() - truth**2 / n) / b
    estimates, errors = (torch.tensor([getattr(t, name) for t in found]) for name in ("estimate", "standard_error"))
    assert errors.square().mean().item() == pytest.approx(variance.item(), rel=0.1)
    assert abs(estimates.mean() - truth) < 4 * (variance / 100).sqrt()


def test_a_small_net_is_exhausted_and_everything_is_exact():
    model = net(5, 4, 3)
    matrix = dense(model, X, Y)
    values = torch.linalg.eigvalsh(matrix).flip(0)
    found = hessian_spectrum(model, cross_entropy, X, Y, 5)
    assert found.exact
    assert found.products == 39
    torch.testing.assert_close(found.nodes, values)
    torch.testing.assert_close(found.weights, torch.full((39,), 1 / 39).double())
    assert found.trace.estimate == pytest.approx(matrix.trace().item(), rel=1e-10)
    assert found.trace.standard_error == 0
    assert found.lowest == pytest.approx(values[-1].item())


def test_multiple_eigenvalues_of_linear_regression():
    """∇²L = I₃ ⊗ XᵀX/n: each eigenvalue comes three times."""
    model = nn.Linear(5, 3, bias=False).double()
    truth = torch.linalg.eigvalsh(X.T @ X / 40).flip(0).repeat_interleave(3)
    found = hessian_spectrum(model, half_mse, X, normal(40, 3), 15)
    torch.testing.assert_close(found.eigenvalues, truth)
    with pytest.raises(
        ValueError, match="Krylov space of 1 start vectors holds 5 dimensions only, fewer than k = 6"
    ):
        hessian_spectrum(model, half_mse, X, normal(40, 3), 6, num_vectors=1)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_agrees_with_curvlinops():
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    operator = HessianLinearOperator(MODEL, nn.CrossEntropyLoss(), list(MODEL.parameters()), [(X, Y)]).to_scipy()
    truth = eigsh(operator, k=4, which="LA", return_eigenvectors=False)[::-1]
    found = hessian_spectrum(MODEL, cross_entropy, X, Y, 4, tolerance=1e-9)
    assert found.eigenvalues.tolist() == pytest.approx(truth.tolist(), rel=1e-8)
    v = normal(363, seed=2).numpy()
    theirs = torch.from_numpy(operator @ v)
    torch.testing.assert_close(Hessian(MODEL, cross_entropy, X, Y)(torch.from_numpy(v)), theirs)


def test_chunks_and_batches_of_vectors_change_nothing(monkeypatch):
    whole = hessian_spectrum(MODEL, cross_entropy, X, Y, 4)
    chunked = hessian_spectrum(MODEL, cross_entropy, X, Y, 4, chunk_size=7)
    monkeypatch.setattr("atml_exp.linalg.vectors_together", lambda *_: 1)
    single = hessian_spectrum(MODEL, cross_entropy, X, Y, 4)
    for other in (chunked, single):
        torch.testing.assert_close(other.eigenvalues, whole.eigenvalues)
        torch.testing.assert_close(other.weights @ other.nodes**3, whole.weights @ whole.nodes**3)


def test_trace_is_within_its_standard_error():
    """Over 200 seeds, |estimate − trace| ≤ 1.96 standard errors 95 % of the time (±4σ: 89 to 100 %)."""
    truth = MATRIX.trace().item()
    found = [hessian_trace(MODEL, cross_entropy, X, Y, num_samples=40, seed=s) for s in range(200)]
    inside = [abs(t.estimate - truth) <= 1.96 * t.standard_error for t in found]
    assert 0.89 <= sum(inside) / 200 <= 1
    off = MATRIX - MATRIX.diag().diag()
    expected = math.sqrt(2 * off.square().sum().item() / 40)
    assert sum(t.standard_error for t in found) / 200 == pytest.approx(expected, rel=0.05)


def test_trace_of_a_diagonal_hessian_is_exact_from_one_sample():
    model = nn.Linear(5, 1, bias=False).double()
    x, y = torch.diag(torch.tensor([3.0, -1, 2, 0.5, 4])).double(), torch.zeros(5, 1).double()
    one = hessian_trace(model, half_mse, x, y, num_samples=1, seed=3)
    assert one.estimate == pytest.approx(x.square().sum().item() / 5, rel=1e-14)
    assert math.isnan(one.standard_error)
    assert hessian_trace(model, half_mse, x, y, num_samples=7, seed=1).standard_error < 1e-15


def test_trace_of_linear_regression_by_dense_algebra():
    model = nn.Linear(5, 2, bias=False).double()
    found = hessian_trace(model, half_mse, X, normal(40, 2), num_samples=3000, seed=0)
    h = X.T @ X / 40
    assert found.estimate == pytest.approx(2 * h.trace().item(), abs=4 * found.standard_error)
    off = 2 * (h.square().sum() - h.diag().square().sum())
    assert found.standard_error == pytest.approx(math.sqrt(2 * off.item() / 3000), rel=0.1)


def test_trace_is_bounded_in_memory_by_chunks_that_change_nothing():
    found = [hessian_trace(MODEL, cross_entropy, X, Y, 33, 0, chunk_size=c).estimate for c in (None, 40, 9, 1)]
    assert found == pytest.approx([found[0]] * 4, rel=1e-12)


def test_trace_refuses():
    def odd(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs - outputs.detach()).abs().pow(1.5).mean()  # its second derivative at 0 is infinite

    with pytest.raises(ValueError, match="num_samples is 0: it must be at least 1"):
        hessian_trace(MODEL, cross_entropy, X, Y, 0)
    with pytest.raises(
        ValueError, match=r"twice: it must be a mean over examples \(divide a sum by their number\)"
    ):
        hessian_trace(MODEL, lambda o, y: cross_entropy(o, y, reduction="sum"), X, Y)
    with pytest.raises(ValueError, match="must be a mean over examples"):  # though the loss is 0 as it is
        hessian_trace(MODEL, lambda o, y: (o - y).square().sum(), X, MODEL(X).detach())
    with pytest.raises(ValueError, match=r"loss_fn gave the shape \(40,\): it must give a scalar"):
        hessian_trace(MODEL, lambda o, y: cross_entropy(o, y, reduction="none"), X, Y)
    with pytest.raises(ValueError, match="no trainable parameter"):
        hessian_trace(nn.Identity(), cross_entropy, X, Y)
    with pytest.raises(ValueError, match="the loss is nan"):
        hessian_trace(MODEL, cross_entropy, X * math.nan, Y)
    with pytest.raises(ValueError, match="no finite second derivative"):
        hessian_trace(MODEL, odd, X, Y)


def test_spectrum_refuses(monkeypatch):
    with pytest.raises(ValueError, match="k is 364: it must be between 1 and the number of parameters, 363"):
        hessian_spectrum(MODEL, cross_entropy, X, Y, 364)
    with pytest.raises(ValueError, match="max_iterations is 3: it must be at least num_iterations, 20"):
        hessian_spectrum(MODEL, cross_entropy, X, Y, max_iterations=3)
    with pytest.raises(ValueError, match=r"num_iterations is 2, with 3 start vectors: .* at least k, 10"):
        hessian_spectrum(MODEL, cross_entropy, X, Y, num_vectors=3, num_iterations=2)
    with pytest.raises(ValueError, match="must be a mean over examples"):
        hessian_spectrum(MODEL, lambda o, y: cross_entropy(o, y, reduction="sum"), X, Y)
    monkeypatch.setattr(module, "available_memory", lambda _: 1000)
    with pytest.raises(ValueError, match=r"160 Lanczos vectors of 363 float64 .* take fewer num_vectors"):
        hessian_spectrum(MODEL, cross_entropy, X, Y)


def test_float32_gives_the_figure_of_float64():
    double = hessian_spectrum(MODEL, cross_entropy, X, Y, 5)
    single = hessian_spectrum(net(5, 20, 10, 3).float(), cross_entropy, X.float(), Y, 5)
    assert single.eigenvalues.tolist() == pytest.approx(double.eigenvalues.tolist(), rel=1e-4)
    assert single.trace.estimate == pytest.approx(double.trace.estimate, rel=1e-4)


def test_probe():
    values = check_probe(spectrum, MODEL, Split(X, Y))
    truth = hessian_spectrum(MODEL, cross_entropy, X, Y)
    torch.testing.assert_close(values["eigenvalues"], truth.eigenvalues)
    assert values["converged"] is True
    assert values["nodes"].shape == values["weights"].shape == (160,)
    assert values["trace"] == truth.trace.estimate
    assert "eigenvectors" not in values


def test_probe_fills_up_what_a_small_net_does_not_need_and_keeps_vectors_when_asked():
    values = spectrum(net(5, 4, 3), Split(X, Y), k=2, keep_vectors=True, num_examples=15)
    assert values["eigenvectors"].shape == (2, 39)
    assert int(values["nodes"].isfinite().sum()) == 39
    assert values["weights"].shape == (160,)
    assert values["weights"].sum().item() == pytest.approx(1)
    chosen = module.subset(Split(X, Y), 15, 0)
    truth = torch.linalg.eigvalsh(dense(net(5, 4, 3), chosen.x, chosen.y)).flip(0)[:2]
    torch.testing.assert_close(values["eigenvalues"], truth)
    assert "trace_standard_error" not in spectrum(MODEL, Split(X, Y), num_vectors=1)
