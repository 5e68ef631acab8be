"""Against numpy and scikit-learn, and where there is no closed form."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.recipes.least_squares import solve
from atml_exp.runner import run
from atml_exp.runs import Run

BASE = ("recipe=least_squares", "loss=mse", "probe=[trajectory]", "device=cpu", "progress=false", "dtype=float64")
NOISY = ("dataset=linear_regression", "dataset.dimension=12", "dataset.num_train=8", "dataset.noise_std=0.5")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights_of(*overrides):
    (result,) = run([compose([*BASE, *overrides])], reports=False)
    assert result.status == "complete"
    return Run(result.directory).array("trajectory/weights")[1][-1]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6)])
def test_of_least_norm_as_the_pseudoinverse(shape):
    h, y = normal(*shape), normal(shape[0], 3, seed=1)
    np.testing.assert_allclose(solve(h, y), np.linalg.pinv(h.numpy()) @ y.numpy(), atol=1e-12)


def test_features_that_repeat_share_the_weight():
    h = normal(9, 3)
    w = solve(torch.cat([h, h], 1), normal(9, 1, seed=1))
    torch.testing.assert_close(w[:3], w[3:])


def test_ridge_as_scikit_learns():
    h, y = normal(20, 6), normal(20, 2, seed=1)
    theirs = Ridge(alpha=20 * 0.3, fit_intercept=False).fit(h.numpy(), y.numpy()).coef_
    np.testing.assert_allclose(solve(h, y, 0.3).T, theirs, rtol=1e-10)


def test_a_small_ridge_is_near_the_least_norm():
    h, y = normal(5, 8), normal(5, 1, seed=1)
    torch.testing.assert_close(solve(h, y, 1e-12), solve(h, y), atol=1e-9, rtol=0)


def test_a_run_ends_with_the_solution_whatever_it_begins_with():
    one, other = (
        weights_of(*NOISY, "model=linear", "model.bias=false", f"model.initialisation={i}") for i in ("zeros", "he")
    )
    np.testing.assert_array_equal(one, other)


def test_it_is_where_gradient_descent_from_zero_goes():
    closed = weights_of(*NOISY, "model=linear", "model.initialisation=zeros")
    gd = (
        "recipe=train",
        "recipe.batch_size=null",
        "recipe.steps=4000",
        "recipe.evaluate_every=end",
        "optimiser=gd",
    )
    more = ("probe.trajectory.every=end", "optimiser.learning_rate=0.3")
    descended = weights_of(*NOISY, "model=linear", "model.initialisation=zeros", *gd, *more)
    np.testing.assert_allclose(closed, descended, atol=1e-8)


def test_classes_are_one_hot_vectors():
    """A linear net fitted to digits' classes in closed form beats guessing by far."""
    (result,) = run([compose([*BASE, "model=linear", "probe=[]"])], reports=False)
    assert Run(result.directory).final["test/error"] < 0.12


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(ConfigError, match=r"hidden\.0\.linear\.weight is trained too"):
        run([compose([*BASE, "model=mlp", "model.width=4", "probe=[]"])], reports=False)
