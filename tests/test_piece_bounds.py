import numpy as np
import pytest

from atml_exp.models.mlp import mlp
from atml_exp.piece_bounds import least_tent_error, mlp_parameters, most_pieces


def tent(folds, x):
    place = 2.0 ** (folds - 1) * x
    return 2 * abs(place - place.round())


def best_errors(y, most):
    """Least mean squared error of 1, …, most affine pieces on equally spaced points, by dynamic programming."""
    n = len(y)
    cost = np.full((n + 1, n + 1), np.inf)
    for i in range(n):
        for j in range(i + 1, n + 1):
            x = np.arange(j - i) - (j - i - 1) / 2
            part = y[i:j] - y[i:j].mean()
            cost[i, j] = (part**2).sum() - ((x @ part) ** 2 / (x @ x) if j - i > 1 else 0)
    best = [cost[0]]
    for _ in range(most - 1):
        best.append((best[-1][:, None] + cost).min(0))
    return np.array([b[n] for b in best]) / n


@pytest.mark.parametrize("folds", [2, 3, 4])
def test_no_function_of_so_many_pieces_does_better(folds):
    """Against the best of all piecewise affine functions, which isn't continuous."""
    n = 8 * 2**folds
    y = tent(folds, (np.arange(n) + 0.5) / n)
    pieces = np.arange(1, 2**folds + 1)
    best = best_errors(y, 2**folds) / y.var()
    bound = least_tent_error(pieces, folds)
    assert (best >= bound - 1e-12).all()
    assert best[0] == pytest.approx(bound[0], abs=1e-9) == 1  # one piece: exact
    assert best[-1] < 1e-12  # as many as the map has: none is left
    assert (best[: 2 ** (folds - 1)] < bound[: 2 ** (folds - 1)] + 0.5).all()  # and not far below it


def test_it_is_one_for_a_line_and_nothing_from_half_the_pieces_on():
    assert least_tent_error(1, 7) == 1
    assert least_tent_error(2**6 + 1, 7) == 0
    assert least_tent_error(2**6, 7) == 1 / 2**6


@pytest.mark.parametrize(("inputs", "width", "depth", "outputs"), [(1, 33, 1, 1), (64, 20, 5, 10)])
def test_parameters_are_those_of_the_model(inputs, width, depth, outputs):
    model = mlp((inputs,), outputs, width=width, depth=depth)
    assert mlp_parameters(inputs, width, depth, outputs) == sum(p.numel() for p in model.parameters())


def test_refusals():
    with pytest.raises(ValueError, match="width is 0"):
        most_pieces(0, 1)
    with pytest.raises(ValueError, match="pieces are at least 0"):
        least_tent_error([0, 3], 2)
    with pytest.raises(ValueError, match="folds is 0"):
        least_tent_error(1, 0)
