"""Distances against scipy's, and what is no set of points or no distance matrix."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from atml_exp import distances as module
from atml_exp.distances import different, distances, mean_absolute_distances


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("shape", [(40, 7), (600, 3)])  # one block of rows, and three
def test_the_loss_based_metric_is_the_mean_absolute_difference(shape):
    losses = np.exp(normal(*shape))
    expected = cdist(losses, losses, "cityblock") / shape[1]
    np.testing.assert_allclose(mean_absolute_distances(losses), expected, rtol=1e-12)
    np.testing.assert_allclose(distances(torch.from_numpy(losses), "mean_absolute"), expected, rtol=1e-12)


def test_the_0_1_metric_is_the_fraction_of_errors_that_differ():
    errors = normal(50, 33) > 1
    assert np.array_equal(mean_absolute_distances(errors), cdist(errors, errors, "hamming"))
    assert np.array_equal(mean_absolute_distances(torch.from_numpy(errors)), cdist(errors, errors, "hamming"))


def test_losses_in_single_precision_are_compared_in_double():
    losses = normal(30, 5).astype(np.float32)
    np.testing.assert_array_equal(mean_absolute_distances(losses), mean_absolute_distances(losses.astype(float)))


def test_euclidean_is_the_default_and_flattens_each_point():
    points = normal(600, 2, 3)
    flat = points.reshape(600, 6)
    np.testing.assert_allclose(distances(points), cdist(flat, flat), rtol=1e-9, atol=1e-12)


def test_a_matrix_that_is_given_is_used_as_it_is():
    matrix = cdist(normal(9, 2), normal(9, 2))
    assert distances(matrix, "precomputed") is matrix


def test_the_first_of_each_set_of_points_that_are_alike():
    points = normal(700, 2)
    points[650] = points[3]
    points[651] = points[3]
    points[10] = points[9]
    assert different(distances(points)).tolist() == sorted(set(range(700)) - {10, 650, 651})


SQUARE = cdist(normal(5, 2), normal(5, 2))


@pytest.mark.parametrize(
    ("points", "metric", "message"),
    [
        (np.full((5, 2), np.nan), "euclidean", "NaN or infinity"),
        (np.full((5, 2), np.nan), "mean_absolute", "NaN or infinity"),
        ([[0.0], [np.inf]], "mean_absolute", "NaN or infinity"),
        (np.ones(5), "mean_absolute", "a row of losses for each point; got shape \\(5,\\)"),
        (np.ones((5, 0)), "mean_absolute", "a row of losses for each point"),
        (np.ones((5, 2)), "precomputed", "a square matrix; got shape \\(5, 2\\)"),
        (np.zeros((0, 0)), "precomputed", "a square matrix"),
        (SQUARE * np.nan, "precomputed", "finite and not negative"),
        (-SQUARE, "precomputed", "finite and not negative"),
        (SQUARE + np.eye(5), "precomputed", "0 on the diagonal"),
        (np.triu(SQUARE), "precomputed", "symmetric"),
    ],
)
def test_what_has_no_distances_is_refused(points, metric, message):
    with pytest.raises(ValueError, match=message):
        distances(points, metric)


def test_more_points_than_the_memory_holds_are_refused_before_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda device: 1_599)
    with pytest.raises(ValueError, match=r"among 10 points need .* record fewer iterates"):
        distances(normal(10, 2))
    monkeypatch.setattr(module, "available_memory", lambda device: 1_600)
    assert distances(normal(10, 2)).shape == (10, 10)
