"""Band Lanczos against spectra that are known, Hessian–vector products against dense autograd."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy, mse_loss

from atml_exp.linalg import Hessian, KrylovSpace, as_float64, top_eigenvalues, vectors_together


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_spectrum(*eigenvalues: float) -> Tensor:
    """A dense symmetric matrix with the given eigenvalues and random eigenvectors."""
    q, _ = torch.linalg.qr(normal(len(eigenvalues), len(eigenvalues), seed=1))
    return q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.T


def top(matrix: Tensor, k: int, **options: float) -> list[float]:
    start = normal(k, len(matrix), seed=2)
    return top_eigenvalues(lambda v: matrix @ v, start, **options).values.tolist()  # type: ignore[arg-type]


def tanh_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).double()


def dense_hessian(model: nn.Module, loss_fn, x: Tensor, y: Tensor) -> Tensor:
    """Dense, over one flat vector, by torch.func."""
    names, tensors = zip(*model.named_parameters(), strict=True)
    sizes = [t.numel() for t in tensors]

    def loss(flat: Tensor) -> Tensor:
        pieces = [p.view_as(t) for p, t in zip(flat.split(sizes), tensors, strict=True)]
        return loss_fn(functional_call(model, dict(zip(names, pieces, strict=True)), (x,)), y)

    return jacrev(jacrev(loss))(torch.cat([t.detach().flatten() for t in tensors]))


X, Y = normal(17, 3, seed=3), torch.arange(17) % 4


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_known_spectrum_with_multiple_eigenvalues(k):
    eigenvalues = [7.0, 7, 7, 5, 5, 2, 1, 1, 0.5, 0, 0, -3, -20, -20]
    assert top(with_spectrum(*eigenvalues), k) == pytest.approx(eigenvalues[:k], abs=1e-9)


def test_all_eigenvalues_of_a_small_matrix():
    eigenvalues = [3.0, 3, 1, 1e-8, 0, 0, -2]
    assert top(with_spectrum(*eigenvalues), 7) == pytest.approx(eigenvalues, abs=1e-12)


@pytest.mark.parametrize("c", [1.0, -1.0, 0.0])
def test_multiples_of_the_identity_end_at_once(c):
    found = top_eigenvalues(lambda v: c * v, normal(3, 1000))
    assert found.values.tolist() == pytest.approx([c] * 3, abs=1e-12)
    assert found.products == 3
    assert found.converged


def test_largest_algebraically_where_power_iteration_finds_the_largest_magnitude():
    matrix = with_spectrum(*torch.linspace(2, -9, 40).tolist())
    v = normal(40)
    for _ in range(2000):
        v = matrix @ v / (matrix @ v).norm()
    assert (v @ matrix @ v).item() == pytest.approx(-9)
    assert top(matrix, 1) == pytest.approx([2])


def test_a_negative_definite_matrix():
    assert top(with_spectrum(*torch.linspace(-0.1, -5, 60).tolist()), 2)[0] == pytest.approx(-0.1)


def test_agrees_with_dense_on_a_large_matrix_and_costs_far_fewer_products():
    spectrum = torch.cat([torch.tensor([50.0, 30.0, 30.0, 29.0]), torch.linspace(5, -5, 596)])
    matrix = with_spectrum(*spectrum.tolist())
    found = top_eigenvalues(lambda v: matrix @ v, normal(4, 600))
    assert found.values.tolist() == pytest.approx(spectrum[:4].tolist(), rel=1e-8)
    assert found.converged
    assert found.products < 80


def test_a_cluster_at_the_top_is_resolved():
    spectrum = [1.0, 1 - 1e-5, 1 - 2e-5, *torch.linspace(0.9, -1, 200).tolist()]
    assert top(with_spectrum(*spectrum), 3) == pytest.approx(spectrum[:3], rel=1e-7)


def test_full_reorthogonalisation_finds_no_ghosts():
    spectrum = [1e6, 1e3, 1.0, *torch.linspace(0.5, 0, 150).tolist()]
    assert top(with_spectrum(*spectrum), 3, tolerance=1e-12) == pytest.approx(spectrum[:3], rel=1e-8)


def test_error_estimates_and_residuals_bound_the_truth():
    spectrum = torch.linspace(1, 0, 300).square()
    matrix = with_spectrum(*spectrum.tolist())
    for tolerance in (1e-2, 1e-4, 1e-6):
        found = top_eigenvalues(lambda v: matrix @ v, normal(1, 300), tolerance=tolerance)
        error = 1 - found.values.item()
        assert found.converged
        assert -1e-12 < error <= tolerance
        assert error <= found.residuals.item()


def test_says_when_it_has_not_converged():
    matrix = with_spectrum(*torch.linspace(1, 0, 300).tolist())
    found = top_eigenvalues(lambda v: matrix @ v, normal(2, 300), max_products=8)
    assert not found.converged
    assert found.products == 8
    assert 1 - found.values[0].item() <= found.residuals[0].item()


def test_rounding_of_a_float32_operator_is_not_taken_for_structure():
    matrix = with_spectrum(4.0, 4.0, 1.0, *[0.0] * 97).float()
    found = top_eigenvalues(lambda v: matrix @ v.float(), normal(6, 100), tolerance=1e-10)
    assert found.values.tolist() == pytest.approx([4, 4, 1, 0, 0, 0], abs=1e-5)
    assert found.converged
    assert found.products < 30


@pytest.mark.parametrize("loss_fn", [cross_entropy, lambda o, y: o[:, 0].sin().mean()])
def test_products_equal_the_dense_hessian(loss_fn):
    model, v = tanh_net(), normal(44, seed=5)
    hessian = Hessian(model, loss_fn, X, Y)
    torch.testing.assert_close(hessian(v), dense_hessian(model, loss_fn, X, Y) @ v)
    torch.testing.assert_close(hessian(2 * v), 2 * hessian(v))


@pytest.mark.parametrize("chunk_size", [1, 5, 16, 17, 100])
def test_chunks_are_weighted_by_their_share(chunk_size):
    model, v = tanh_net(), normal(44, seed=5)
    whole, chunked = (Hessian(model, cross_entropy, X, Y, chunk_size=c)(v) for c in (None, chunk_size))
    torch.testing.assert_close(chunked, whole)


def test_only_trainable_parameters_count():
    model, v = tanh_net(), normal(24, seed=5)
    model[0].requires_grad_(False)
    full = dense_hessian(model, cross_entropy, X, Y)
    hessian = Hessian(model, cross_entropy, X, Y)
    assert hessian.size == 24
    torch.testing.assert_close(hessian(v), full[20:, 20:] @ v)


def test_parameters_without_curvature_give_zero():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 1).double(), nn.Linear(3, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    for loss_fn in (lambda o, y: o.mean(), lambda o, y: (0 * o).mean(), lambda o, y: y.double().mean()):
        assert Hessian(Odd(), loss_fn, X, Y)(torch.ones(8)).tolist() == [0] * 8
    assert Hessian(Odd(), lambda o, y: o.square().mean(), X, Y)(torch.ones(8))[4:].tolist() == [0] * 4


def test_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(1, 1, bias=False).double()
            self.b = nn.Linear(1, 1, bias=False).double()
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    model = Tied()
    hessian = Hessian(model, lambda o, y: o.mean(), torch.ones(1, 1).double(), torch.zeros(1))
    assert hessian(torch.ones(1)).item() == pytest.approx(2)  # the second derivative of w²


def test_works_inside_no_grad_and_leaves_the_model_untouched():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()).double()
    model[0].weight.grad = torch.ones(4, 3).double()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    with torch.no_grad():
        Hessian(model, cross_entropy, X, Y)(torch.ones(24))
        assert not torch.is_grad_enabled()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones(4, 3).double())
    assert model[0].bias.grad is None
    assert torch.equal(random, torch.get_rng_state())
    assert model[1].training


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 4)).double()


def test_dropout_in_training_mode_is_refused_and_draws_nothing():
    random = torch.get_rng_state()
    model = with_dropout()
    torch.set_rng_state(random)
    with pytest.raises(ValueError, match=r"evaluations of the loss differ .* call model.eval\(\)"):
        Hessian(model, cross_entropy, X, Y)
    assert torch.equal(random, torch.get_rng_state())
    assert Hessian(model.eval(), cross_entropy, X, Y).size == 68


def test_batch_norm_in_training_mode_is_refused_in_chunks():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    with pytest.raises(ValueError, match=r"updates its buffers .* call model.eval\(\)"):
        Hessian(model, cross_entropy, X, Y, chunk_size=6)
    v = normal(24)
    whole, chunked = (Hessian(model.eval(), cross_entropy, X, Y, chunk_size=c)(v) for c in (None, 6))
    torch.testing.assert_close(chunked, whole)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match=f"the loss is {bad}"):
        Hessian(tanh_net(), lambda o, y: o.mean() + bad, X, Y)


def test_a_product_that_is_not_finite_is_refused():
    def loss_fn(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs - outputs.detach()).abs().pow(1.5).mean()  # its second derivative at 0 is infinite

    hessian = Hessian(tanh_net(), loss_fn, X, Y)
    with pytest.raises(ValueError, match="no finite second derivative"):
        top_eigenvalues(hessian, normal(1, 44))


def test_other_refusals():
    model = tanh_net()
    with pytest.raises(ValueError, match="x holds 0 examples and y 0"):
        Hessian(model, cross_entropy, X[:0], Y[:0])
    with pytest.raises(ValueError, match="x holds 17 examples and y 16"):
        Hessian(model, cross_entropy, X, Y[:16])
    with pytest.raises(ValueError, match="chunk_size is 0"):
        Hessian(model, cross_entropy, X, Y, chunk_size=0)
    with pytest.raises(ValueError, match=r"loss_fn gave the shape \(17,\)"):
        Hessian(model, lambda o, y: o[:, 0], X, Y)
    with pytest.raises(ValueError, match="no trainable parameter"):
        Hessian(model.requires_grad_(False), mse_loss, X, Y)
    with pytest.raises(ValueError, match=r"k is 5: it must be between 1 and min\(n, max_products\) = 4"):
        top(torch.eye(4).double(), 5)
    with pytest.raises(ValueError, match="linearly independent"):
        top_eigenvalues(lambda v: v, torch.ones(2, 4))


def test_as_float64():
    assert as_float64(torch.ones(2, requires_grad=True)).dtype == torch.float64
    assert not as_float64(torch.ones(2, requires_grad=True)).requires_grad


def test_chunks_of_a_loss_that_is_no_mean_are_refused():
    model, x, y = torch.nn.Linear(3, 2), torch.randn(10, 3), torch.zeros(10, 2)
    with pytest.raises(ValueError, match="with chunk_size it must be a mean over examples"):
        Hessian(model, lambda o, y: (o - y).square().sum(), x, y, chunk_size=4)
    Hessian(model, lambda o, y: (o - y).square().sum() / len(y), x, y, chunk_size=4)
    Hessian(model, lambda o, y: (o - y).square().sum(), x, y)


@pytest.mark.parametrize("chunk_size", [None, 5])
@pytest.mark.parametrize("together", [1, 3, 100])
def test_products_with_several_vectors_are_those_with_each(monkeypatch, chunk_size, together):
    monkeypatch.setattr("atml_exp.linalg.vectors_together", lambda *_: together)
    model, vectors = tanh_net(), normal(7, 44, seed=5)
    dense = dense_hessian(model, cross_entropy, X, Y)
    found = Hessian(model, cross_entropy, X, Y, chunk_size=chunk_size).products(vectors)
    torch.testing.assert_close(found, vectors @ dense)


def test_several_vectors_go_together_where_one_is_overhead_only():
    assert vectors_together(1000, 2000, "cpu") == 1
    assert vectors_together(100, 2000, "cpu") == 200
    assert vectors_together(100, 2000, "cuda") == 200
    assert vectors_together(10**6, 10**8, "cuda") == 1


def test_a_block_of_parameters_has_the_diagonal_block_of_the_hessian():
    model = tanh_net()
    block = Hessian(model, cross_entropy, X, Y, names=["2.weight", "2.bias"])
    full = dense_hessian(model, cross_entropy, X, Y)
    torch.testing.assert_close(block.products(torch.eye(24).double()), full[20:, 20:])
    with pytest.raises(ValueError, match="no trainable parameter"):
        Hessian(model, cross_entropy, X, Y, names=["absent"])


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_gradient(chunk_size):
    model = tanh_net()
    truth = torch.autograd.grad(cross_entropy(model(X), Y), list(model.parameters()))
    found = Hessian(model, cross_entropy, X, Y, chunk_size=chunk_size).gradient()
    torch.testing.assert_close(found, torch.cat([g.flatten() for g in truth]))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_krylov_space_is_the_same_however_many_products_are_taken_at_once(count):
    matrix = with_spectrum(*torch.linspace(9, -4, 50).tolist())
    space = KrylovSpace(lambda rows: rows @ matrix, normal(3, 50), 30)
    while space.done < 30:
        space.step(count)
    whole = KrylovSpace(lambda rows: rows @ matrix, normal(3, 50), 30)
    while whole.done < 30:
        whole.step(3)
    for ours, theirs in zip(space.ritz(4), whole.ritz(4), strict=True):
        torch.testing.assert_close(ours, theirs)
    vectors = space.ritz_vectors(4)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(4).double())
    residuals = (vectors @ matrix - space.ritz(4)[0][:, None] * vectors).norm(dim=1)
    torch.testing.assert_close(residuals, space.ritz(4)[1])


def test_quadrature_before_any_product_is_refused():
    space = KrylovSpace(lambda rows: rows, normal(3, 50), 30)
    with pytest.raises(ValueError, match="0 products are fewer than the 3 start vectors"):
        space.quadrature()
