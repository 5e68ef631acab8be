"""A step size above the largest stable one ends as diverged, with that limit named."""

import pytest
import torch

from atml_exp.compose import compose
from atml_exp.divergence import step_size
from atml_exp.job import build_job
from atml_exp.linalg import as_float64
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.summary import print_summary

OBJECTIVE = (
    "model=quadratic",
    "model.dimension=3",
    "model.spectrum=[4.0,2.0,1.0]",
    "dataset=no_data",
    "loss=value",
)
LINEAR = ("model=linear", "dataset=linear_regression", "loss=mse", "dtype=float64")
NET = ("model.width=8", "dataset=gaussian_mixture", "loss=mse")
COMMON = ("device=cpu", "progress=false", "probe=[]", "recipe.steps=50")


def job(*overrides):
    return build_job(compose([*COMMON, *overrides]))


def trained(tmp_path, *overrides):
    (result,) = run([compose([*COMMON, f"output_dir={tmp_path}", *overrides])])
    return Run(result.directory)


@pytest.mark.parametrize(
    ("optimiser", "limit"),
    [
        (("optimiser=gd",), 2 / 4),
        (("optimiser=sgd", "recipe.batch_size=1"), 2 / 4),
        (("optimiser=gd", "optimiser.weight_decay=1.0"), 2 / 5),
        (("optimiser=momentum", "optimiser.momentum=0.5", "recipe.batch_size=1"), 3 / 4),
        (("optimiser=nesterov", "optimiser.momentum=0.5", "recipe.batch_size=1"), 3 / 8),
    ],
)
def test_the_limit_of_a_quadratic_is_that_of_its_largest_eigenvalue(optimiser, limit):
    found = step_size(job(*OBJECTIVE, *optimiser))
    assert (found.limit, found.is_global) == (pytest.approx(limit), True)


def test_the_limit_of_least_squares_is_that_of_the_second_moments():
    made = job(*LINEAR, "optimiser=gd", "model.bias=false")
    x = as_float64(made.data.train.x)
    top = float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1])
    assert step_size(made).limit == pytest.approx(2 / top, rel=1e-6)


@pytest.mark.parametrize("optimiser", ["adam", "sam", "accelerated"])
def test_other_optimisers_have_no_such_limit(optimiser):
    batch = () if optimiser == "accelerated" else ("recipe.batch_size=1",)
    assert step_size(job(*OBJECTIVE, f"optimiser={optimiser}", *batch)) is None


@pytest.mark.parametrize("system", [OBJECTIVE, LINEAR])
@pytest.mark.parametrize(("factor", "status"), [(0.99, "complete"), (1.01, "diverged"), (1e9, "diverged")])
def test_just_above_the_limit_a_run_ends_as_diverged_though_it_is_finite(system, factor, status, tmp_path):
    limit = step_size(job(*system, "optimiser=gd")).limit
    done = trained(tmp_path, *system, "optimiser=gd", f"optimiser.learning_rate={factor * limit}")
    assert done.status == status
    assert ("error" in done.info) == (status == "diverged")
    if status == "diverged":
        assert f"is above {limit:.4g}, the largest stable step size for the curvature" in done.info["error"]


def test_noise_that_ends_higher_below_the_limit_has_not_diverged(tmp_path):
    noisy = ("optimiser=noisy_gd", "optimiser.noise_std=5.0")
    done = trained(tmp_path, *OBJECTIVE, *noisy)
    assert done.status == "complete"


def test_a_net_names_the_curvature_at_its_start(tmp_path, capsys):
    done = trained(tmp_path, *NET, "optimiser=sgd", "optimiser.learning_rate=1e6")
    assert done.status == "diverged"
    assert "the curvature" in done.info["error"]
    assert done.info["error"].endswith("of the training loss at the initial weights")
    print_summary([type("Result", (), {"directory": done.directory, "reused": False})()])
    assert "is above" in capsys.readouterr().out


def test_a_function_without_a_global_constant_names_the_curvature_at_its_start():
    found = step_size(job("model=rosenbrock", "dataset=no_data", "loss=value", "optimiser=gd"))
    assert (found.is_global, found.of) == (False, "the training loss at the initial weights")
