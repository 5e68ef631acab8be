"""Solutions against LAPACK's, and the matrices that are refused."""

import pytest
import torch

from atml_exp.conjugate_gradient import conjugate_gradient

G = torch.Generator().manual_seed(0)


def definite(n):
    a = torch.randn(n, n, generator=G, dtype=torch.float64)
    return a @ a.T / n + 0.1 * torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 5, 60])
def test_it_solves_as_lapack_does(n):
    a, b = definite(n), torch.randn(n, generator=G, dtype=torch.float64)
    torch.testing.assert_close(conjugate_gradient(lambda v: a @ v, b), torch.linalg.solve(a, b), rtol=1e-7, atol=0)


def test_as_many_products_as_there_are_different_eigenvalues():
    diagonal, asked = torch.tensor([1.0, 1.0, 1.0, 7.0, 7.0]).double(), []
    conjugate_gradient(lambda v: asked.append(1) or diagonal * v, torch.ones(5))
    assert len(asked) == 2


def test_zero_is_solved_by_zero():
    assert conjugate_gradient(lambda v: v, torch.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("diagonal", "options", "words"),
    [
        ([1.0, -1.0], {}, "curvature .* isn't positive definite"),
        ([0.0, 0.0], {}, "curvature 0 was met"),
        ([1.0, float("nan")], {}, "curvature nan"),
        ([1.0, 2.0, 3.0], {"max_products": 2}, "after 2 products, allowed is 1e-10"),
    ],
)
def test_refusals(diagonal, options, words):
    a = torch.tensor(diagonal).double()
    with pytest.raises(ValueError, match=words):
        conjugate_gradient(lambda v: a * v, torch.arange(1, len(a) + 1).double(), **options)
