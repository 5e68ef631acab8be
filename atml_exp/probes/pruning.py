"""Pruning: which weights can go, by magnitude against at random, without another step of training."""

from collections.abc import Mapping
from statistics import fmean, pstdev

import torch
from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.masks import Density, Scope, check_density, keep_largest, kept, order_of, prunable, random_order
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.probes.performance import misclassified
from atml_exp.pruning_scores import grasp_scores, obd_scores, snip_scores, synflow_scores

__all__ = [
    "grasp_scores",
    "magnitude_mask",
    "obd_scores",
    "pruning",
    "random_mask",
    "snip_scores",
    "synflow_scores",
]


@suits("classification")
def pruning(
    model: nn.Module,
    data: Split,
    *,
    densities: tuple[Density, ...] = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02),
    scope: Scope = "global",
    num_random: PositiveInt = 3,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Accuracy on `data` with a fraction `density` of the weights kept and the others set to 0.

    One shot, no fine-tuning, eval mode. Weights of two dimensions or more are pruned; biases and the parameters
    of normalisations are kept and don't count. Returns for each density, as in `magnitude/0.1`:
    `magnitude/…`, the largest kept; `random/…` and `random_std/…`, mean and population standard deviation over
    `num_random` random masks. Raises ValueError if the model has no such weight, and as `magnitude_mask` does.
    """
    for density in densities:
        check_density(density, scope)
    weights = prunable(dict(model.named_parameters()))
    draws = torch.randint(2**62, (num_random,), generator=torch.Generator().manual_seed(seed)).tolist()
    magnitude = order_of(_magnitudes(weights), scope)
    random = [random_order(weights, scope, d) for d in draws]
    result: dict[str, Value] = {}
    for density in densities:
        result[f"magnitude/{density:g}"] = _accuracy(model, data, weights, magnitude, density)
        accuracies = [_accuracy(model, data, weights, order, density) for order in random]
        result[f"random/{density:g}"] = fmean(accuracies)
        result[f"random_std/{density:g}"] = pstdev(accuracies)
    return result


def magnitude_mask(parameters: Mapping[str, Tensor], density: float, scope: Scope) -> dict[str, Tensor]:
    """Which entries to keep (True): those of largest magnitude; counts, ties, errors: see `keep_largest`.

    >>> weights = {"a": torch.tensor([[3.0, -1.0]]), "b": torch.tensor([2.0, 0.5])}
    >>> magnitude_mask(weights, 0.5, "global")
    {'a': tensor([[ True, False]]), 'b': tensor([ True, False])}
    """
    return keep_largest(_magnitudes(parameters), density, scope)


def random_mask(parameters: Mapping[str, Tensor], density: float, scope: Scope, seed: int) -> dict[str, Tensor]:
    """Which entries to keep (True), drawn uniformly: the control for `magnitude_mask`.

    Counts, scopes, nesting (for the same seed) and errors are those of `magnitude_mask`; values don't matter.

    >>> mask = random_mask({"a": torch.zeros(4, 5)}, 0.25, "layer", seed=0)
    >>> mask["a"].shape, mask["a"].sum()
    (torch.Size([4, 5]), tensor(5))
    """
    check_density(density, scope)
    return kept(random_order(parameters, scope, seed), parameters, density)


def _accuracy(
    model: nn.Module, data: Split, weights: Mapping[str, Tensor], order: list[Tensor], density: float
) -> float:
    mask = kept(order, weights, density)
    pruned = {name: weight * mask[name] for name, weight in weights.items()}
    return 1 - misclassified(predict(model, data.x, parameters=pruned), data.y)


def _magnitudes(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: p.detach().abs() for name, p in parameters.items()}
