"""What holds of every objective: its constants are true, its minimum is one, and it trains like any model."""

import pytest
import torch

from atml_exp.compose import compose
from atml_exp.datasets.no_data import no_data
from atml_exp.errors import ConfigError
from atml_exp.losses.value import value
from atml_exp.models.huber_worst_case import huber_worst_case
from atml_exp.models.linear import linear
from atml_exp.models.nesterov_worst_case import nesterov_worst_case
from atml_exp.models.objective import Objective
from atml_exp.models.quadratic import quadratic
from atml_exp.models.rosenbrock import rosenbrock
from atml_exp.probes.sharpness import hessian_top_eigenvalues
from atml_exp.probes.suboptimality import suboptimality
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.theory import gd_quadratic

OBJECTIVES = {
    "quadratic": lambda: quadratic((1,), 1, dimension=6, spectrum=0.7, radius=3.0),
    "quadratic_list": lambda: quadratic((1,), 1, dimension=2, spectrum=[0.5, 4.0]),
    "nesterov_worst_case": lambda: nesterov_worst_case((1,), 1, dimension=9),
    "huber_worst_case": lambda: huber_worst_case((1,), 1, steps=3),
    "rosenbrock": lambda: rosenbrock((1,), 1),
}
every = pytest.mark.parametrize("make", OBJECTIVES.values(), ids=OBJECTIVES)
CONVEX = pytest.mark.parametrize("make", [m for n, m in OBJECTIVES.items() if n != "rosenbrock"])


def dense(model, w):
    """The Hessian by double backward."""
    w = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(model._value(w), w, create_graph=True)
    return torch.stack([torch.autograd.grad(gi, w, retain_graph=True)[0] for gi in g])


def points(model, number=50):
    g = torch.Generator().manual_seed(7)
    return model.known.minimiser + torch.randn(number, len(model.weights), generator=g, dtype=torch.float64)


@every
def test_the_minimum_is_one_and_is_where_it_is_said_to_be(make):
    model = make()
    w = model.known.minimiser.clone().requires_grad_()
    at = model._value(w)
    (g,) = torch.autograd.grad(at, w)
    assert at.item() == pytest.approx(model.known.minimum, abs=1e-14)
    assert g.abs().max() <= 1e-14
    assert all(model._value(p) > model.known.minimum for p in points(model))


@CONVEX
def test_smoothness_and_strong_convexity_bound_the_hessian(make):
    model = make()
    eigenvalues = torch.stack([torch.linalg.eigvalsh(dense(model, p)) for p in points(model, 20)])
    assert eigenvalues.max() <= model.known.smoothness * (1 + 1e-9)
    assert eigenvalues.min() >= model.known.strong_convexity - 1e-9


def test_a_quadratics_constants_are_its_extreme_eigenvalues():
    model = quadratic((1,), 1, dimension=2, spectrum=[0.5, 4.0])
    assert torch.linalg.eigvalsh(dense(model, model.weights.detach())).tolist() == [0.5, 4.0]
    assert (model.known.smoothness, model.known.strong_convexity) == (4.0, 0.5)
    found = hessian_top_eigenvalues(model, value, no_data().train.x, no_data().train.y, 1)
    assert found.item() == pytest.approx(4.0)


def test_rosenbrocks_valley_is_not_convex_and_names_no_constant():
    model = rosenbrock((1,), 1)
    assert torch.linalg.eigvalsh(dense(model, torch.tensor([0.0, 1.0], dtype=torch.float64))).min() < 0
    assert (model.known.smoothness, model.known.strong_convexity) == (None, None)


@every
def test_outputs_are_the_value_for_each_example(make):
    model = make()
    assert torch.equal(model(torch.zeros(3, 1)), model.value().expand(3, 1))
    assert isinstance(model, Objective)
    assert value(model(no_data().train.x), no_data().train.y) == model.value()


def test_the_seed_draws_the_start_of_a_quadratic_on_its_sphere(seeded):
    one, again, other = (seeded(lambda: quadratic((1,), 1, radius=3.0), s).weights.detach() for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.norm().item() == pytest.approx(3.0)


def test_the_probe_says_gap_distance_and_place(seeded):
    model = quadratic((1,), 1, dimension=2, spectrum=[0.5, 4.0])
    with torch.no_grad():
        model.weights.copy_(torch.tensor([3.0, 4.0]))
    found = suboptimality(model, no_data().train)
    assert (found["gap"], found["distance"]) == (0.5 * (0.5 * 9 + 4 * 16), 5.0)
    assert found["point"].tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="Sequential has no known minimum"):
        suboptimality(linear((1,), 1), no_data().train)


BASE = ["device=cpu", "progress=false", "dataset=no_data", "loss=value", "model=quadratic", "dtype=float64"]


def test_a_population_of_them_descends_as_in_closed_form(tmp_path):
    """Seeds, step sizes and momenta in one population."""
    choices = [(0.3, 0.0, 0), (1.1, 0.9, 1), (0.7, 0.5, 2)]
    common = ["model.dimension=4", "optimiser=momentum", "recipe.batch_size=null", "recipe.steps=60it"]
    results = run(
        [
            compose(
                [
                    *BASE,
                    *common,
                    "recipe.evaluate_every=end",
                    "probe=[suboptimality]",
                    f"optimiser.learning_rate={rate}",
                    f"optimiser.momentum={momentum}",
                    f"seed={seed}",
                    f"output_dir={tmp_path.as_posix()}",
                ]
            )
            for rate, momentum, seed in choices
        ]
    )
    for result, (rate, momentum, _) in zip(results, choices, strict=True):
        steps, points = Run(result.directory).array("suboptimality/point")
        for step, point in zip(steps, points, strict=True):
            factors = gd_quadratic([1, 1 / 2, 1 / 3, 1 / 4], rate, int(step), momentum)
            torch.testing.assert_close(
                torch.tensor(point), torch.tensor(factors * points[0]), rtol=1e-9, atol=1e-12
            )


def test_a_spectrum_of_another_length_is_said_before_training():
    with pytest.raises(ConfigError, match=r"model\.spectrum lists 2 eigenvalues and model\.dimension=20"):
        run([compose([*BASE, "probe=[]", "recipe.batch_size=null", "model.spectrum=[1,2]"])])
