import pytest
import torch

from atml_exp.attribution.kernel_shap import kernel_shap
from atml_exp.attribution.output import output_of
from atml_exp.attribution.players import patches
from atml_exp.attribution.shapley import exact_shap
from atml_exp.models.mlp import mlp


def test_on_all_coalitions_it_is_exact(net, x, y):
    base = torch.full((5,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(kernel_shap(net, x, y, baseline=base), exact_shap(net, x, y, baseline=base))


def test_one_and_two_players(net, x, y):
    for segments in (torch.zeros(5).long(), torch.tensor([0, 0, 1, 1, 1])):
        found = kernel_shap(net, x, y, segments=segments)
        torch.testing.assert_close(found, exact_shap(net, x, y, segments=segments))


def test_samples_converge_to_the_exact_values():
    torch.manual_seed(0)
    model, x = mlp((11,), 2, width=16, activation="tanh", initial_scale=3.0).double(), torch.randn(3, 11).double()
    exact = exact_shap(model, x, 0)
    off = [
        torch.stack([kernel_shap(model, x, 0, samples=n, seed=s) - exact for s in range(10)]).square().mean().sqrt()
        for n in (100, 1600)
    ]
    assert off[1] < off[0] / 3  # 16 times as many: 4
    assert off[0] < 0.2 * exact.abs().max()


def test_complete_even_of_samples_and_the_model_stays(images, untouched):
    x, y = torch.randn(4, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    segments = patches((1, 8, 8), 2)
    found = untouched(lambda m, x, t: kernel_shap(m, x, t, segments=segments, samples=200), images, x, y)
    change = output_of(images, x, y) - output_of(images, 0 * x, y)
    torch.testing.assert_close(found.flatten(1).sum(1), change.detach())
    assert not torch.equal(found, kernel_shap(images, x, y, segments=segments, samples=200, seed=1))


def test_of_a_linear_model_samples_suffice(y):
    model = torch.nn.Linear(20, 3).double()
    z = torch.randn(6, 20, dtype=torch.float64)
    torch.testing.assert_close(kernel_shap(model, z, y, samples=80), z * model.weight[y].detach())


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="samples is 30: 20 players need at least 40"):
        kernel_shap(torch.nn.Linear(20, 3), torch.ones(1, 20), 0, samples=30)


class Cube(torch.nn.Module):
    """F = (w·x)³: players meet in threes, so how often each size of coalition is drawn matters."""

    def forward(self, x):
        return (x * torch.linspace(0.1, 1, x.shape[1], dtype=x.dtype)).sum(1).pow(3)


def test_samples_have_no_bias():
    x = torch.ones(1, 11, dtype=torch.float64)
    found = torch.stack([kernel_shap(Cube(), x, 0, samples=1000, seed=s) for s in range(40)])
    error = (found.mean(0) - exact_shap(Cube(), x, 0)) / (found.std(0) / 40**0.5)
    assert error.abs().max() < 4
