import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.datasets.tent_map import tent_map, tent_values


def tent(x):
    return torch.where(x <= 0.5, 2 * x, 2 - 2 * x)


@pytest.mark.parametrize("folds", range(1, 9))
def test_it_is_the_tent_composed(folds):
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = x
    for _ in range(folds):
        expected = tent(expected)
    torch.testing.assert_close(tent_values(folds, x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("folds", range(1, 9))
def test_it_turns_exactly_at_the_inner_multiples_of_two_to_the_minus_k(folds):
    y = tent_values(folds, torch.arange(2**folds + 1, dtype=torch.float64) / 2**folds)
    assert y.tolist() == [float(j % 2) for j in range(2**folds + 1)]
    slopes = tent_values(folds, torch.arange(8 * 2**folds + 1, dtype=torch.float64) / (8 * 2**folds)).diff().sign()
    assert 1 + (slopes.diff() != 0).sum() == 2**folds  # monotone pieces


def test_mean_and_variance_are_those_of_a_uniform_number():
    """Each branch is uniform on [0, 1]: mean ½, variance 1/12 (1/12)(1 − 1/M²) on M midpoints a branch."""
    y = tent_map(folds=4, num_test=1024).test.y
    assert y.mean().item() == 0.5
    assert y.var(correction=0).item() == pytest.approx((1 - 1 / 64**2) / 12, rel=1e-12)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("sampling", ["grid", "uniform"])
def test_both_tasks_on_both_samples(task, sampling):
    data = tent_map(task=task, sampling=sampling, noise=0.1, num_train=40, num_test=32)
    check_dataset(data)
    assert data.input_shape == (1,)
    assert data.num_targets == (2 if task == "classification" else 1)


def test_classes_change_once_on_each_piece():
    y = tent_map(folds=3, task="classification", num_train=64).train.y
    assert y.diff().abs().sum() == 2**3
    assert y.double().mean() == 0.5


def test_the_grid_is_midpoints_and_draws_nothing():
    data = tent_map(num_train=4)
    assert data.train.x[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert torch.equal(data.train.y, tent_map(num_train=4, seed=1).train.y)


def test_the_seed_draws_inputs_and_noise_of_the_training_set_alone():
    first, second, again = (tent_map(sampling="uniform", noise=0.5, num_train=4000, seed=s) for s in (0, 1, 0))
    assert torch.equal(first.train.y, again.train.y)
    assert not torch.equal(first.train.x, second.train.x)
    assert torch.equal(first.test.y, second.test.y)
    assert torch.equal(first.test.y, tent_values(3, first.test.x[:, 0]))
    residual = first.train.y - tent_values(3, first.train.x[:, 0])
    assert residual.std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("folds", "x", "words"), [(0, 0.5, "folds is 0"), (1, 1.5, "defined on"), (1, float("nan"), "defined on")]
)
def test_refusals(folds, x, words):
    with pytest.raises(ValueError, match=words):
        tent_values(folds, torch.tensor([x]))
