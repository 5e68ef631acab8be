"""What is measured on replicas at once is what each gives by itself."""

from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.data import Dataset, Split
from atml_exp.linalg import Hessian, top_eigenvalues
from atml_exp.linalg_each import HessianOfEach, top_eigenvalues_of_each
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.mlp import mlp
from atml_exp.population import assemble
from atml_exp.probe import Probe, measure, measure_each
from atml_exp.probes.sharpness import sharpness

R, N, D, C = 5, 12, 6, 3


@pytest.fixture(params=["none", "batch"])
def population(request):
    torch.manual_seed(0)
    models = [mlp((D,), C, width=9, activation="tanh", normalisation=request.param).double() for _ in range(R)]
    for model in models:  # running statistics that differ
        model(torch.randn(20, D, dtype=torch.float64))
    return assemble(models, list(range(R)))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(R, N, D, generator=generator, dtype=torch.float64)
    y = torch.randint(0, C, (R, N), generator=generator)
    return list(x), list(y)


def named(population):
    return population.named_of(range(population.size))


def test_products_are_those_of_each_replica(population, data):
    x, y = data
    model = population.model.eval()
    hessians = HessianOfEach(model, cross_entropy, named(population), x, y)
    vectors = torch.randn(R, hessians.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    products = hessians(vectors)
    for r in range(R):
        model.load_state_dict(population.replica(r))
        alone = Hessian(model, cross_entropy, x[r], y[r])(vectors[r])
        torch.testing.assert_close(products[r], alone, rtol=1e-12, atol=1e-14)


def test_products_are_those_of_the_dense_hessian_of_shared_data():
    weights = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False).double()
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hessians = HessianOfEach(model, mse, {"weight": weights[:, None]}, [x, x], [x[:, 0]] * 2)
    torch.testing.assert_close(hessians(weights), weights @ (x.T @ x / 7))


def test_eigenvalues_are_those_of_each_operator_alone():
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(4, 90, 90, generator=generator, dtype=torch.float64)
    matrices = matrices + matrices.mT
    matrices[1] += 50 * torch.eye(90, dtype=torch.float64)
    start = torch.randn(2, 90, generator=generator, dtype=torch.float64)
    found = top_eigenvalues_of_each(lambda v: (matrices @ v[..., None])[..., 0], start.expand(4, -1, -1))
    for matrix, top in zip(matrices, found, strict=True):
        alone = top_eigenvalues(lambda v, m=matrix: m @ v, start)
        torch.testing.assert_close(top.values, alone.values, rtol=1e-12, atol=0)
        assert (top.products, top.converged) == (alone.products, True)
        torch.testing.assert_close(top.values, torch.linalg.eigvalsh(matrix).flip(0)[:2], rtol=1e-8, atol=0)


def test_an_exhausted_space_is_left_to_be_taken_alone():
    diagonal = torch.zeros(2, 100, dtype=torch.float64)
    diagonal[0, :3] = torch.tensor([3.0, 2.0, 1.0])  # four distinct eigenvalues: four products
    diagonal[1] = torch.arange(100)
    start = torch.randn(2, 1, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = top_eigenvalues_of_each(lambda v: diagonal * v, start)
    assert first is None
    assert second.values.item() == pytest.approx(99, rel=1e-8)


def test_few_products_are_said_not_to_suffice():
    diagonal = torch.linspace(0, 1, 200, dtype=torch.float64).expand(2, -1)
    start = torch.ones(2, 1, 200, dtype=torch.float64)
    found = top_eigenvalues_of_each(lambda v: diagonal * v, start, max_products=5)
    assert [(top.converged, top.products) for top in found] == [(False, 5)] * 2


def test_small_spaces_and_infinite_products_are_refused():
    with pytest.raises(ValueError, match="n is 64"):
        top_eigenvalues_of_each(lambda v: v, torch.ones(2, 1, 64))
    with pytest.raises(ValueError, match="isn't finite"):
        top_eigenvalues_of_each(lambda v: v * torch.inf, torch.ones(2, 1, 65))


@pytest.mark.parametrize("spoil", ["state", "dropout"])
def test_a_loss_that_is_no_function_is_refused(population, data, spoil):
    x, y = data
    model, state = population.model.eval(), dict(named(population))
    if spoil == "state":
        name = population.layout.names[0]
        state[name] = torch.full_like(state[name], torch.nan)
        with pytest.raises(ValueError, match="isn't finite"):
            HessianOfEach(model, cross_entropy, state, x, y)
    else:
        calls = []

        def unsteady(o, y):
            calls.append(1)
            return cross_entropy(o, y) * len(calls)

        with pytest.raises(ValueError, match="differ"):
            HessianOfEach(model, unsteady, state, x, y)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_probe_reads_the_same_together_and_alone(population, data, k, dtype):
    splits = [Split(x.to(dtype), y) for x, y in zip(*data, strict=True)]
    sets = [Dataset("d", split, split, num_classes=C) for split in splits]
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in named(population).items()}
    model = population.model.to(dtype)
    probe = Probe(partial(sharpness, k=k))
    together = measure_each(probe, model, state, sets)
    assert all(together)
    for r, value in enumerate(together):
        alone = measure(probe, model, {n: t[r] for n, t in state.items()}, sets[r], None)
        assert value.keys() == alone.keys()
        tolerance = 1e-9 if dtype == torch.float64 else 1e-5
        assert value["top"] == pytest.approx(alone["top"], rel=tolerance)


def test_large_problems_are_left_to_be_measured_alone():
    model = mlp((50,), C, width=100)
    population = assemble([model, model], [0, 1])
    split = Split(torch.zeros(100, 50), torch.zeros(100, dtype=torch.int64))
    data = [Dataset("d", split, split, num_classes=C)] * 2
    assert measure_each(Probe(sharpness), model, named(population), data) == [None, None]
