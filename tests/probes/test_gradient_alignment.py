"""Alignment of the gradient against dense algebra, and where it is known."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.gradient_alignment import gradient_alignment, share_in_subspace


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), torch.arange(40) % 3


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 3)).double()


def dense(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian."""
    named = dict(model.named_parameters())

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([p.numel() for p in named.values()])
        state = {n: f.view_as(p) for (n, p), f in zip(named.items(), pieces, strict=True)}
        return cross_entropy(functional_call(model, state, (X,)), Y)

    w = parameters_to_vector(named.values()).detach()
    return jacrev(loss)(w), jacrev(jacrev(loss))(w)


@pytest.mark.parametrize("k", [None, 1, 7])
def test_against_dense_algebra(k):
    found = gradient_alignment(net(), Split(X, Y), k=k, tolerance=1e-12)
    g, h = dense(net())
    size = k or 3  # as many as there are outputs
    top = torch.linalg.eigh(h)[1][:, -size:]
    assert found["cosine"] == pytest.approx((g @ h @ g / (g.norm() * (h @ g).norm())).item(), rel=1e-10)
    assert found["share"] == pytest.approx(
        ((top.T @ g).square().sum() / (g @ g)).item(), rel=1e-5
    )  # the root of the tolerance
    assert found["curvature"] == pytest.approx((g @ h @ g / (g @ g)).item(), rel=1e-10)
    assert found["top"] == pytest.approx(torch.linalg.eigvalsh(h)[-1].item(), rel=1e-10)
    assert found["chance"] == size / 111
    assert found["converged"]


def test_along_an_eigenvector_of_a_quadratic_it_is_1():
    """g = H(w − w*), w − w* the top eigenvector of H = XᵀX/n."""
    values, vectors = torch.linalg.eigh(X.T @ X / 40)
    model = nn.Linear(5, 1, bias=False).double()
    targets = X @ (model.weight.detach()[0] - vectors[:, -1])
    found = gradient_alignment(model, Split(X, targets[:, None]), loss=half_mse, k=1)
    assert found["cosine"] == pytest.approx(1)
    assert found["share"] == pytest.approx(1)
    assert found["curvature"] == pytest.approx(values[-1].item())


def test_a_random_vector_has_the_share_of_chance():
    basis = torch.linalg.qr(normal(200, 10))[0].T
    shares = torch.tensor([share_in_subspace(v, basis) for v in normal(500, 200, seed=1)])
    assert shares.mean().item() == pytest.approx(0.05, abs=4 * shares.std().item() / 500**0.5)


def test_without_curvature_there_is_no_cosine():
    model = nn.Linear(5, 1, bias=False).double()
    found = gradient_alignment(model, Split(X, Y), loss=lambda o, y: o.mean())
    assert "cosine" not in found
    assert found["curvature"] == 0


def test_without_a_gradient_it_is_refused():
    model = nn.Linear(5, 1, bias=False).double()
    with pytest.raises(ValueError, match="the gradient is 0: it has no direction"):
        gradient_alignment(model, Split(X, Y), loss=lambda o, y: 0 * o.mean())


def test_probe():
    values = check_probe(gradient_alignment, net(), Split(X, Y))
    assert gradient_alignment(net(), Split(X, Y), chunk_size=9)["share"] == pytest.approx(values["share"], rel=1e-6)
    assert gradient_alignment(nn.Linear(5, 1).double(), Split(X, Y), loss=half_mse, k=50)["chance"] == 1
