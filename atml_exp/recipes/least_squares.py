"""Least squares in closed form, of the least norm where many solutions fit, or with a ridge penalty."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative
from atml_exp.linalg import as_float64
from atml_exp.linear_part import linear_part
from atml_exp.population import Population
from atml_exp.probe import specimen
from atml_exp.train import Bench

__all__ = ["least_squares", "solve"]


def least_squares(fit: Bench, population: Population, *, ridge: NonNegative = 0.0) -> Population:
    """Sets the last layer to the minimiser of (1/N) Σ ½‖W h_i − y_i‖² + ½·ridge·‖W‖²; a bias is penalised too.

    ridge 0: of all minimisers that of the least norm, W = YᵀH⁺ᵀ, which is where gradient descent from 0 goes. The
    targets are numbers, or the one-hot vectors of classes, as in loss=mse. In float64. Initial weights don't count;
    the run has one step, 0, with the solution.

    Raises ConfigError where anything but the last linear layer is trained (see model=linear, random_features,
    first_features), for then there is no closed form.
    """
    found = [_solved(fit.splits[r], population, r, ridge) for r in range(population.size)]
    w = torch.stack(found) if population.stacked else found[0]
    return fit(replace(population, w=w.to(population.w)), steps=0, batch_size=None, evaluate_every="end")


def _solved(data: Split, population: Population, r: int, ridge: float) -> Tensor:
    """The trained weights (P,) of replica r."""
    model = specimen(population.model, population.replica(r))
    try:
        part = linear_part(model, data.x)
    except ValueError as error:
        raise ConfigError(
            f"recipe=least_squares has a closed form where only the last linear layer is trained: {error}; use "
            "model=linear, random_features or first_features, or recipe=train"
        ) from error
    classes = part.weights.shape[1]
    y = one_hot(data.y, classes) if not data.y.is_floating_point() else data.y.reshape(len(data), -1)
    return part.vector(model, solve(part.features, as_float64(y), ridge))


def solve(h: Tensor, y: Tensor, ridge: float = 0.0) -> Tensor:
    """argmin_W (1/N)·½‖HW − Y‖² + ½·ridge·‖W‖² (D, K) of H (N, D) and Y (N, K), by the singular values of H.

    ridge 0: the minimiser of the least norm; singular values below 1e-12 of the largest count as 0.

    >>> solve(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0]])).flatten()
    tensor([1.0000, 1.0000])
    """
    u, s, vt = torch.linalg.svd(h, full_matrices=False)
    inverse = s / (s.square() + ridge * len(h)) if ridge > 0 else s.reciprocal()
    kept = s > 1e-12 * s.max()
    return vt.T @ (torch.where(kept, inverse, 0.0)[:, None] * (u.T @ y))
