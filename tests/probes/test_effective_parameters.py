import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.mse import mse
from atml_exp.probes.effective_parameters import effective_number, effective_parameters


def regression(n=30, d=6):
    """Drawn by another seed than the start vectors, which the data must not resemble."""
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return nn.Linear(d, 1, bias=False).double(), Split(x, x[:, 0])


def test_of_linear_regression_it_is_ridge_regressions_degrees_of_freedom():
    """tr H(H + Nα)⁻¹ of H = XXᵀ, the trace of the matrix that takes targets to ridge's predictions."""
    model, data = regression()
    gram = data.x @ data.x.T
    truth = torch.linalg.solve(gram + 30 * 0.5 * torch.eye(30).double(), gram).trace().item()
    found = effective_parameters(model, data, loss=mse, alpha=0.5)
    assert found["effective"] == pytest.approx(truth, rel=1e-8)
    assert found["num_parameters"] == 6
    assert found["fraction"] == pytest.approx(truth / 6)


def test_without_data_in_most_directions_they_do_not_count():
    model, data = regression(n=3, d=50)
    found = effective_parameters(model, data, loss=mse, alpha=1e-6, num_vectors=10, num_iterations=5)
    assert found["effective"] == pytest.approx(3, rel=1e-5)


def test_the_quadrature_is_close_where_it_is_not_exact():
    model, data = regression(n=200, d=120)
    eigenvalues = torch.linalg.eigvalsh(data.x.T @ data.x / 200)
    truth = effective_number(eigenvalues, 0.1)
    found = effective_parameters(model, data, loss=mse, alpha=0.1, num_vectors=4, num_iterations=12)
    assert found["effective"] == pytest.approx(truth, rel=0.05)


def test_negative_curvature_counts_for_nothing():
    assert effective_number(torch.tensor([-5.0, 1.0]), 1.0) == 0.5


def test_alpha_is_positive():
    with pytest.raises(ValueError, match="alpha must be a positive number"):
        effective_number(torch.ones(2), 0.0)


def test_keeps_the_contract_of_probes():
    model, data = regression()
    check_probe(lambda m, d: effective_parameters(m, d, loss=mse), model, data)
