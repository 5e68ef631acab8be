"""Features against numpy's, and nested classes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.polynomial import legendre as theirs

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.layout import Layout
from atml_exp.models.polynomial import legendre, polynomial
from atml_exp.recipes.least_squares import solve
from atml_exp.runner import groups_to_train, run


def features(x, degree, **options):
    return polynomial((x.shape[1],), 1, degree=degree, **options).double().features(x)


@pytest.mark.parametrize("degree", [0, 1, 2, 7, 30])
def test_of_one_input_they_are_numpys_normalised(degree):
    x = torch.linspace(-1.2, 1.2, 50, dtype=torch.float64)
    expected = theirs.legvander(x.numpy(), degree) * np.sqrt(2 * np.arange(degree + 1) + 1)
    np.testing.assert_allclose(legendre(degree, x), expected, rtol=1e-10)
    np.testing.assert_allclose(features(x[:, None], degree), expected, rtol=1e-10)


def test_of_three_inputs_they_are_all_products_of_that_degree():
    x = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    each = theirs.legvander(x.numpy(), 4) * np.sqrt(2 * np.arange(5) + 1)
    powers = [(a, b, c) for a in range(5) for b in range(5) for c in range(5) if a + b + c <= 4]
    expected = np.stack([each[:, 0, a] * each[:, 1, b] * each[:, 2, c] for a, b, c in powers], 1)
    found = features(x, 4).numpy()
    assert found.shape == expected.shape == (20, 35)
    np.testing.assert_allclose(np.sort(found, 1), np.sort(expected, 1), rtol=1e-12)


def test_they_are_orthonormal_on_the_square():
    node, weight = theirs.leggauss(6)
    x = torch.tensor(np.stack(np.meshgrid(node, node), -1).reshape(-1, 2))
    h = features(3 * x, 5, half_width=3.0)
    gram = h.T @ (torch.tensor(np.outer(weight, weight).reshape(-1, 1) / 4) * h)
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dimension", [1, 2])
def test_classes_are_nested_and_the_training_risk_never_rises(dimension):
    g = torch.Generator().manual_seed(1)
    x = 2 * torch.rand(40, dimension, generator=g, dtype=torch.float64) - 1
    y = torch.randn(40, 1, generator=g, dtype=torch.float64)
    risks = []
    for degree in range(9):
        h = features(x, degree)
        risks.append((y - h @ solve(h, y)).square().mean().item())
        assert torch.equal(features(x, degree + 1)[:, : h.shape[1]], h)
    assert all(b <= a + 1e-12 for a, b in pairwise(risks))


def test_least_squares_is_numpys_fit():
    g = torch.Generator().manual_seed(2)
    x, y = 2 * torch.rand(30, 1, generator=g, dtype=torch.float64) - 1, torch.randn(30, 1, generator=g).double()
    h = features(x, 12)
    fitted = np.polynomial.Legendre.fit(x[:, 0].numpy(), y[:, 0].numpy(), 12, domain=[-1, 1])
    np.testing.assert_allclose((h @ solve(h, y))[:, 0], fitted(x[:, 0].numpy()), atol=1e-10)


def test_on_even_points_least_squares_is_well_conditioned():
    h = features(torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None], 15)
    assert torch.linalg.cond(h) < 3


def test_only_the_output_is_trained():
    assert Layout.of(polynomial((2,), 3, degree=4)).names == ("output.weight",)


def test_too_many_features_are_refused():
    with pytest.raises(ConfigError, match=r"degree = 3: of 64 inputs there are 47,905 products.*at most 10,000"):
        polynomial((1, 8, 8), 10, degree=3)


def test_seeds_stack_and_descent_comes_to_the_closed_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ("dataset=noisy_function", "dataset.sampling=uniform", "dataset/wrapper=[subset]", "dtype=float64")
    more = ("dataset.wrapper.subset.num_train=20", "model=polynomial", "loss=mse", "probe=[]", "device=cpu")
    descent = ("optimiser=gd", "optimiser.learning_rate=0.1", "recipe.batch_size=null", "recipe.steps=600it")

    def losses(*recipe):
        overrides = (*base, *more, "progress=false", *recipe)
        configs = [compose([*overrides, f"seed={seed}"]) for seed in range(3)]
        assert [len(group) for group in groups_to_train(configs)] == [3]
        return [result.final["train/loss"] for result in run(configs, reports=False)]

    closed = losses("recipe=least_squares")
    assert losses(*descent, "recipe.evaluate_every=end") == pytest.approx(closed, rel=1e-6)
    assert len(set(closed)) == 3
